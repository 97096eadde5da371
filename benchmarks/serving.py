"""One image in a JSON request at 64 clients, here and behind a plain FastAPI service; 64 images in a binary request.

Both servers run throughout and take turns at being asked, in a new order each round, by a client on the same cores:
``wrk`` where it is installed, else the clients of ``benchmarks/load``. Before that, each must answer as Python does.
"""

from __future__ import annotations

import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from itertools import chain, repeat
from os import getloadavg
from pathlib import Path
from typing import Any

from benchmarks.load import clients, connections, parts, questions, server
from benchmarks.load.clients import Crowd
from benchmarks.load.questions import Known, Question
from benchmarks.load.server import Server
from benchmarks.protocol import machine, ratios, summary

OURS, PEER = "sumtoone serve", "FastAPI"
CLIENTS, BINARY_CLIENTS, IMAGES = 64, 8, 64
SECONDS = 5.0
PACKAGES = ("sumtoone", "torch", "fastapi", "starlette", "pydantic", "uvicorn", "uvloop", "httptools", "orjson")
_ROOT = Path(__file__).parent.parent
Figures = dict[str, float]
# Who is asked, what, and by how many.
_Task = tuple[Server, Sequence[Question], int]


def measure(rounds: int, quick: bool) -> dict[str, Any]:
    """Return the record: requests a second and latencies of both, images a second of ours."""
    seconds = 0.5 if quick else SECONDS
    missing = {} if find_spec("fastapi") else {PEER: "not installed: fastapi"}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        run = _trained(Path(folder) / "digits")
        servers = {OURS: stack.enter_context(server.sumtoone(run))}
        if not missing:
            peer = [sys.executable, "-m", "benchmarks.load.peer", str(run)]
            servers[PEER] = stack.enter_context(server.begun(peer, PYTHONPATH=str(_ROOT)))
        known = parts.subject(run, servers[OURS], 64).known
        one = [questions.pixels(known, tag) for tag in range(len(known.rows))]
        many = [_binary(known, tag) for tag in range(8)]
        tasks: dict[str, _Task] = {name: (it, one, CLIENTS) for name, it in servers.items()}
        wrong = [name for name, (it, asked, _) in tasks.items() if not _agrees(it, asked)]
        binary = f"{OURS}, {IMAGES} images"
        tasks[binary] = (servers[OURS], many, BINARY_CLIENTS)
        wrong += [] if _agrees(servers[OURS], many) else [binary]
        found = _in_turns(tasks, rounds, seconds, Path(folder))
    rates = {name: [figures["rate"] for figures in each] for name, each in found.items()}
    return {
        "what": f"784-128-64-10, {CLIENTS} clients, {seconds:g} s a round; {IMAGES} images: {BINARY_CLIENTS} clients",
        "machine": machine(PACKAGES),
        "rounds": rounds,
        "load": getloadavg()[0],
        "client": _version_of_wrk() or "the clients of benchmarks/load",
        "missing": missing,
        "contenders": {
            name: {
                "requests": summary(rates[name]),
                "images": summary([rate * (IMAGES if name == binary else 1) for rate in rates[name]]),
                "p50": summary([figures["p50"] for figures in each]),
                "p99": summary([figures["p99"] for figures in each]),
                "ours_to_it": None if name == binary else ratios(rates, OURS, name),
            }
            for name, each in found.items()
        },
        "disagreeing": wrong,
    }


def _trained(folder: Path) -> Path:
    import sumtoone

    sumtoone.fit(sumtoone.Network("784-128-64-10"), sumtoone.load("digits"), epochs=3, out=folder)
    return folder


def _binary(known: Known, first: int) -> Question:
    tags = [(first + place) % len(known.rows) for place in range(IMAGES)]
    return questions.binary(known, tags, "")


def _agrees(it: Server, asked: Sequence[Question]) -> bool:
    tally = connections.run(clients.closed(Crowd(it.address, _cycled(asked), requests=2 * len(asked)), 8))
    print(f"as Python does: {tally}", *tally.examples[:3], sep="\n  ", flush=True)
    return tally.right == tally.sent


def _cycled(asked: Sequence[Question]) -> Iterator[Question]:
    return chain.from_iterable(repeat(asked))


def _in_turns(tasks: dict[str, _Task], rounds: int, seconds: float, folder: Path) -> dict[str, list[Figures]]:
    """Return the figures of each task in each counted round; the first round warms up."""
    shuffled, order = random.Random(0), list(tasks)
    timed: Callable[..., Figures] = _by_wrk if _version_of_wrk() else _by_own
    found: dict[str, list[Figures]] = {name: [] for name in tasks}
    for turn in range(rounds + 1):
        shuffled.shuffle(order)
        for name in order:
            it, asked, count = tasks[name]
            figures = timed(it, asked, count, seconds, folder)
            print(f"{name}: " + ", ".join(f"{key} {value:,.2f}" for key, value in figures.items()), flush=True)
            if turn:
                found[name].append(figures)
    return found


def _by_own(it: Server, asked: Sequence[Question], count: int, seconds: float, _: Path) -> Figures:
    crowd = Crowd(it.address, _cycled(asked), until=time.perf_counter() + seconds)
    tally = connections.run(clients.closed(crowd, count))
    return {"rate": tally.goodput, "p50": tally.milliseconds(50), "p99": tally.milliseconds(99)}


# Requests as they are, one after the other; what was not answered with a 200 makes the last line something else.
_SCRIPT = """
local requests, place = {{}}, 0
for number = 0, {count} - 1 do
  local file = assert(io.open("{folder}/request-" .. number, "rb"))
  requests[number + 1] = file:read("*a")
  file:close()
end
request = function()
  place = place % #requests + 1
  return requests[place]
end
done = function(summary, latency)
  local wrong = summary.errors
  io.write(string.format("figures %f %f %f %d\\n", summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3,
    wrong.connect + wrong.read + wrong.write + wrong.status + wrong.timeout))
end
"""


def _by_wrk(it: Server, asked: Sequence[Question], count: int, seconds: float, folder: Path) -> Figures:
    script = folder / "ask.lua"
    script.write_text(_SCRIPT.format(count=len(asked), folder=folder), encoding="utf-8")
    for number, question in enumerate(asked):
        (folder / f"request-{number}").write_bytes(question.request)
    command = ["wrk", "--timeout", "30s", "-t1", f"-c{count}", f"-d{max(1, round(seconds))}s", "-s", str(script)]
    address = f"http://{it.address.host}:{it.address.port}/"
    done = subprocess.run([*command, address], capture_output=True, text=True, check=True)
    rate, p50, p99, wrong = map(float, re.findall(r"^figures (.*)$", done.stdout, re.M)[0].split())
    if wrong:
        raise RuntimeError(f"{wrong:.0f} requests were not answered with a 200: {done.stdout}")
    return {"rate": rate, "p50": p50, "p99": p99}


def _version_of_wrk() -> str:
    if shutil.which("wrk") is None:
        return ""
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False)
    found = re.search(r"wrk (?:debian/)?([\d.]+)", said.stdout + said.stderr)
    return f"wrk {found[1]}" if found else "wrk"
