"""Questions whose answers are known: each row has probabilities of its own, so an answer shows whose it is."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.load.connections import Answer

if TYPE_CHECKING:
    from sumtoone import Run

TOLERANCE = 1e-5
# Between any two rows some probability differs by this: no answer can pass for another's.
APART = 100 * TOLERANCE
JSON, BINARY = "application/json", "application/octet-stream"
Judge = Callable[[Answer], str]


@dataclass(frozen=True)
class Question:
    """A request, and what says of an answer whether it is this one's: nothing, or what is wrong with it."""

    kind: str
    request: bytes
    judge: Judge
    # Bodies that were judged right: one that is the same to the byte need not be read again.
    right: set[bytes] = field(default_factory=set)

    def wrong(self, answer: Answer) -> str:
        """Return what is wrong with an answer of status 200, the empty text for nothing."""
        if answer.body in self.right:
            return ""
        try:
            found = self.judge(answer)
        except (KeyError, ValueError, TypeError, AttributeError) as error:
            return f"no answer: {type(error).__name__} {error} in {answer.body[:80]!r}"
        if not found:
            self.right.add(answer.body)
        return found


def http(path: str, body: bytes, kind: str = JSON, method: str = "POST", **headers: object) -> bytes:
    """Return a whole request; the headers' underscores stand for hyphens."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
    return f"{head}{more}\r\n".encode() + body


@dataclass(frozen=True, eq=False)
class Known:
    """Rows (N, D) of a run on pictures, the probabilities (N, K) that Python gives them, and its classes."""

    model: str
    rows: NDArray[np.uint8]
    probabilities: NDArray[np.float32]
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    pictures: tuple[tuple[bytes, NDArray[np.float32]], ...]

    @property
    def infer(self) -> str:
        """The path of the inference protocol's question."""
        return f"/v2/models/{self.model}/infer"

    def wrong(self, tags: Sequence[int], probabilities: Any, labels: Any) -> str:
        """Return what is wrong with the answer for some rows, the empty text for nothing."""
        return self.unlike(self.probabilities[list(tags)], probabilities, labels)

    def unlike(self, wanted: NDArray[np.float32], probabilities: Any, labels: Any) -> str:
        """Return how an answer differs from the probabilities (N, K) that are wanted."""
        given = np.asarray(probabilities, np.float64)
        if given.size != wanted.size:
            return f"{given.size} probabilities, not {wanted.size}"
        off = float(np.abs(given.reshape(wanted.shape) - wanted).max())
        if not off <= TOLERANCE:
            return f"another's probabilities: {off:.3g} away"
        named = [self.classes[place] for place in wanted.argmax(axis=1)]
        return "" if list(labels) == named else f"labels {labels}, not {named}"


def known(run: Run, model: str, count: int = 256, seed: int = 0) -> Known:
    """Return rows that a run is unsure about, each in its own way: blends of two of its digits."""
    from sumtoone import load

    random_ = np.random.default_rng(seed)
    digits = load(run.data).test.inputs.numpy()
    kept_ND: list[NDArray[np.uint8]] = []
    kept_NK = np.zeros((0, len(run.classes)), np.float32)
    for _ in range(100):
        one, other = (digits[random_.integers(len(digits), size=count)].astype(float) for _ in range(2))
        share = random_.uniform(0.3, 0.7, size=(count, 1))
        blends = (share * one + (1 - share) * other).astype(np.uint8)
        for row, probabilities in zip(blends, run.probabilities(blends).numpy(), strict=True):
            best = np.sort(probabilities)[-2:]
            alone = not len(kept_NK) or np.abs(kept_NK - probabilities).max(axis=1).min() > APART
            if alone and best[1] - best[0] > APART:
                kept_ND.append(row)
                kept_NK = np.vstack([kept_NK, probabilities])
        if len(kept_ND) >= count:
            break
    assert len(kept_ND) >= count, "no such rows"
    assert run.image_shape is not None
    pictures = tuple(_picture(run, row) for row in digits[:16])
    rows = np.array(kept_ND[:count])
    return Known(model, rows, run.probabilities(rows).numpy(), run.classes, run.image_shape, pictures)


def _picture(run: Run, row: NDArray[np.uint8]) -> tuple[bytes, NDArray[np.float32]]:
    from PIL import Image

    from sumtoone.photos import prepare

    file = io.BytesIO()
    Image.fromarray(row.reshape(run.image_shape or ())).resize((84, 84)).save(file, "PNG")
    pixels = prepare(file.getvalue(), run.image_shape or (), digits=run.handwriting)
    return file.getvalue(), run.probabilities(pixels[None]).numpy()


# --- the kinds of requests


def pixels(known: Known, tag: int) -> Question:
    """One image as JSON."""
    body = json.dumps({"pixels": known.rows[tag].tolist()}).encode()
    return Question("pixels", http("/predict", body), lambda answer: _predicted(known, [tag], answer))


def nested(known: Known, tag: int) -> Question:
    """One image as JSON, in rows."""
    body = json.dumps({"pixels": known.rows[tag].reshape(known.shape).tolist()}).encode()
    return Question("nested pixels", http("/predict", body), lambda answer: _predicted(known, [tag], answer))


def several(known: Known, tags: Sequence[int]) -> Question:
    """Some images as JSON."""
    body = json.dumps({"pixels": known.rows[list(tags)].tolist()}).encode()
    return Question("several pixels", http("/predict", body), lambda answer: _predicted(known, tags, answer))


def picture(known: Known, place: int) -> Question:
    """An image file."""
    file, wanted = known.pictures[place]

    def judge(answer: Answer) -> str:
        said = json.loads(answer.body)
        return known.unlike(wanted, [said["probabilities"][name] for name in known.classes], [said["label"]])

    return Question("image file", http("/predict", file, "image/png"), judge)


def tensor(known: Known, tags: Sequence[int], number: str) -> Question:
    """Some images by the inference protocol, in JSON."""
    rows = known.rows[list(tags)]
    wanted = {"name": "input", "shape": list(rows.shape), "datatype": "UINT8", "data": rows.ravel().tolist()}
    body = json.dumps({"id": number, "inputs": [wanted]}).encode()

    def judge(answer: Answer) -> str:
        said = json.loads(answer.body)
        if said.get("id") != number:
            return f"the id {said.get('id')!r}, not {number!r}"
        outputs = {output["name"]: output["data"] for output in said["outputs"]}
        return known.wrong(tags, outputs["probabilities"], outputs["label"])

    return Question("tensor", http(known.infer, body), judge)


def binary(known: Known, tags: Sequence[int], number: str, datatype: str = "UINT8") -> Question:
    """Some images by the inference protocol, bytes in and bytes out."""
    rows = known.rows[list(tags)].astype({"UINT8": np.uint8, "FP32": np.float32}[datatype])
    size = {"binary_data_size": rows.nbytes}
    described = {"name": "input", "shape": list(rows.shape), "datatype": datatype, "parameters": size}
    asked = {"id": number, "inputs": [described], "parameters": {"binary_data_output": True}}
    head = json.dumps(asked).encode()
    request = http(known.infer, head + rows.tobytes(), BINARY, Inference_Header_Content_Length=len(head))
    return Question("binary tensor", request, lambda answer: _binary_judged(known, tags, number, answer))


def _predicted(known: Known, tags: Sequence[int], answer: Answer) -> str:
    said = json.loads(answer.body)
    each = said.get("predictions", [said])
    probabilities = [[one["probabilities"][name] for name in known.classes] for one in each]
    return known.wrong(tags, probabilities, [one["label"] for one in each])


def _binary_judged(known: Known, tags: Sequence[int], number: str, answer: Answer) -> str:
    length = int(answer.headers[b"inference-header-content-length"])
    said, rest = json.loads(answer.body[:length]), answer.body[length:]
    if said.get("id") != number:
        return f"the id {said.get('id')!r}, not {number!r}"
    parts: dict[str, bytes] = {}
    for output in said["outputs"]:
        size = output["parameters"]["binary_data_size"]
        parts[output["name"]], rest = rest[:size], rest[size:]
    if rest:
        return f"{len(rest)} bytes too many"
    return known.wrong(tags, np.frombuffer(parts["probabilities"], np.float32), _texts(parts["label"]))


def _texts(packed: bytes) -> list[str]:
    """Return the texts of a tensor of bytes: each after its length."""
    texts = []
    while packed:
        length = int.from_bytes(packed[:4], "little")
        texts.append(packed[4 : 4 + length].decode())
        packed = packed[4 + length :]
    return texts


def of_one_kind(known: Known, kind: Callable[[Known, int], Question]) -> Iterator[Question]:
    """Yield a question for each row, over and over."""
    every = [kind(known, tag) for tag in range(len(known.rows))]
    while True:
        yield from every


def mixed(known: Known, seed: int = 0) -> Iterator[Question]:
    """Yield questions of all kinds, of one row or some, each of the inference protocol's with a number of its own."""
    random_ = random.Random(seed)
    count = len(known.rows)
    number = 0
    while True:
        number += 1
        tags = random_.sample(range(count), random_.choice((1, 1, 1, 2, 3, 8)))
        match random_.randrange(16):
            case 0 | 1 | 2 | 3 | 4:
                yield pixels(known, tags[0])
            case 5:
                yield nested(known, tags[0])
            case 6 | 7:
                yield several(known, tags)
            case 8 | 9 | 10:
                yield tensor(known, tags, f"question {number}")
            case 11 | 12 | 13 | 14:
                yield binary(known, tags, f"question {number}", random_.choice(("UINT8", "FP32")))
            case _:
                yield picture(known, random_.randrange(len(known.pictures)))
