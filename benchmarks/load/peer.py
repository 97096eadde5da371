"""The same prediction behind FastAPI, as people write it: a pydantic model in, PyTorch's layers, a dictionary out.

With what makes such a service fast without going beyond FastAPI: uvloop and httptools (``fastapi[standard]`` brings
them), no access log, a handler that does not change threads, one thread for PyTorch, no gradients.
"""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path

import torch
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel
from safetensors.torch import load_file
from torch import nn


class Image(BaseModel):
    pixels: list[float]


def service(folder: Path) -> FastAPI:
    """Return the service for a run of ``784-128-64-10`` on pixels."""
    torch.set_num_threads(1)
    description = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    step, classes = description["preprocessing"], description["classes"]
    layers = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)]
    model = nn.Sequential(*layers, nn.Softmax(dim=1)).eval()
    weights = load_file(folder / "model.safetensors")
    for place in range(3):
        linear = model[2 * place]
        linear.load_state_dict({name: weights[f"layers.{place}.{name}"] for name in ("weight", "bias")})
    mean, std = step["mean"][0], step["std"][0]

    async def predict(image: Image) -> dict[str, object]:
        with torch.inference_mode():
            x = (torch.tensor([image.pixels]) / 255 - mean) / std
            probabilities = model(x)[0].tolist()
        best = max(range(len(classes)), key=probabilities.__getitem__)
        named = dict(zip(classes, probabilities, strict=True))
        return {"model": folder.name, "label": classes[best], "probabilities": named}

    app = FastAPI()
    app.post("/predict")(predict)
    return app


def main() -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    app = service(Path(sys.argv[1]))
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    uvicorn.Server(uvicorn.Config(app, access_log=False, log_level="warning")).run(sockets=[listener])


if __name__ == "__main__":
    main()
