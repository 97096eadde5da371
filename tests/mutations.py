"""Files of runs and checkpoints, changed anyhow, every digest put right again: what a person with ill will can make.

As a program it goes on for so many changes: ``python tests/mutations.py COUNT [SEED]``.
"""

from __future__ import annotations

import copy
import hashlib
import json
import random
import shutil
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from sumtoone import Run, fit, open_run
from sumtoone.errors import SumtooneError
from sumtoone.storage import json_from_bytes, json_to_bytes
from sumtoone.training.resuming import Unfinished, unfinished
from test_training import build, make_dataset, weights

DATASET = make_dataset(60)
# What JSON can say and nobody means.
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 2, 3, 99, 2**31, 2**63, -(2**63), 10**30, 10**400, 0.5, -0.0, 1e308, 1e-308,
    float("nan"), float("inf"), "", "a", "0", "\ud800", "\x1b[2J", "a\0b", "é" * 2000, "12-16-8-3", "cuda", "plain",
    "~nobody/x", "-" * 5000, [], [[]], [1], [0.5, 1.0], ["a", "a"], {}, {"a": 1}, [[[[[[]]]]]],
    {"class": "x", "answers": [1]}, [1e308] * 12,
]  # fmt: skip


def mutated(value: Any, drawn: random.Random) -> Any:
    """Return a document with one place of it changed."""
    document = copy.deepcopy(value)
    place, key = document, None
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            return drawn.choice(ODD) if place is document else document
        key = drawn.choice(keys)
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or drawn.random() < 0.2:
            break
        place = inner
    kind = drawn.random()
    if kind < 0.6:
        place[key] = drawn.choice(ODD)
    elif kind < 0.7:
        del place[key]
    elif kind < 0.8 and isinstance(inner, int | float) and not isinstance(inner, bool):
        place[key] = drawn.choice([inner + 1, -inner, inner * 10**9, float(inner), str(inner)])
    elif kind < 0.9 and isinstance(place, list):
        place.extend(place[key : key + 1] * drawn.choice([1, 50]))
    elif isinstance(place, dict):
        place[drawn.choice(["a", "digest", "format", "class", "epoch", "\ud800"])] = drawn.choice(ODD)
    return document


def torn(content: bytes, drawn: random.Random) -> bytes:
    """Return bytes changed, cut off, doubled or taken out; or the header of tensors saying something else."""
    if len(content) > 8 and drawn.random() < 0.6:
        length = int.from_bytes(content[:8], "little")
        try:
            header = json.dumps(mutated(json.loads(content[8 : 8 + length]), drawn)).encode()
        except ValueError:
            return content[: drawn.randrange(len(content))]
        return len(header).to_bytes(8, "little") + header + content[8 + length :]
    changed = bytearray(content)
    for _ in range(drawn.choice([1, 1, 3, 20])):
        changed[drawn.randrange(len(changed))] = drawn.randrange(256)
    place, end = sorted((drawn.randrange(len(changed)), drawn.randrange(len(changed))))
    return bytes(
        drawn.choice([changed, changed[:place], changed[:place] + changed[end:], changed + changed[place:end]])
    )


class Folders:
    """A finished run and an unfinished one, and changed ones made of them."""

    def __init__(self, home: Path) -> None:
        self.run, self.begun = home / "run", home / "begun"
        fit(build(dropout=0.1), DATASET, epochs=2, out=self.run)

        def stop(event: Any) -> None:
            if event["epoch"] == 2:
                raise KeyboardInterrupt

        with suppress(KeyboardInterrupt):
            fit(build(dropout=0.1), DATASET, epochs=3, batch_size=16, early_stopping=2, out=self.begun, on_event=stop)
        self.names = ("run.json", "history.jsonl", "model.safetensors")
        self.files = {name: (self.run / name).read_bytes() for name in self.names}
        (self.newest, self.older) = sorted((self.begun / "checkpoints").glob("*.json"), reverse=True)
        document = json_from_bytes(self.newest.read_bytes())
        self.book = self.newest.with_name(f"book-{document['book']['number']}.jsonl")
        self.checkpoint = document, self.newest.with_suffix(".safetensors").read_bytes(), self.book.read_bytes()
        self.older.unlink()

    def change_run(self, drawn: random.Random) -> None:
        """Write the run with one change."""
        files, document = dict(self.files), json_from_bytes(self.files["run.json"])
        name = drawn.choice(self.names)
        if name == "model.safetensors":
            files[name] = torn(files[name], drawn)
        elif name == "history.jsonl":
            rows = [json.loads(line) for line in files[name].splitlines()]
            rows = mutated(rows, drawn) if drawn.random() < 0.9 else [drawn.choice(ODD)]
            lines = (
                [json.dumps(row) for row in rows] if isinstance(rows, list) else ["[" * drawn.choice([900, 100_000])]
            )
            files[name] = "\n".join(lines).encode()
        else:
            changed = mutated(document, drawn)
            document = changed if isinstance(changed, dict) else {"a": changed}
        if isinstance(document.get("digests"), dict):
            for kept in ("history.jsonl", "model.safetensors"):
                if kept in document["digests"]:
                    document["digests"][kept] = hashlib.sha256(files[kept]).hexdigest()
        files["run.json"] = sealed(document)
        for name, content in files.items():
            (self.run / name).write_bytes(content)

    def change_checkpoint(self, drawn: random.Random) -> None:
        """Write the checkpoint with one change."""
        document, tensors, book = copy.deepcopy(self.checkpoint[0]), *self.checkpoint[1:]
        kind = drawn.random()
        if kind < 0.4:
            tensors = torn(tensors, drawn)
        elif kind < 0.7:
            lines = mutated([json.loads(line) for line in book[: document["book"]["size"]].splitlines()], drawn)
            book = "\n".join(map(json.dumps, lines if isinstance(lines, list) else [lines])).encode()
            document["book"].update(size=len(book), sha256=hashlib.sha256(book).hexdigest())
        else:
            changed = mutated(document, drawn)
            document = changed if isinstance(changed, dict) else {"a": changed}
        if "sha256" in document and drawn.random() < 0.98:
            document["sha256"] = hashlib.sha256(tensors).hexdigest()
        self.book.write_bytes(book)
        self.newest.write_bytes(sealed(document))
        self.newest.with_suffix(".safetensors").write_bytes(tensors)


def sealed(document: dict[str, Any]) -> bytes:
    """Return a document with its digest, also where it holds halves of letters."""
    document.pop("digest", None)
    try:
        return json_to_bytes(document)
    except UnicodeEncodeError:
        digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
        return json.dumps({**document, "digest": digest}).encode()


def look_at_run(folders: Folders, spare: Path) -> str:
    """Open the changed run and use it: it is one, or the error is ours."""
    try:
        run = open_run(folders.run)
    except SumtooneError as error:
        return _worded(error)
    assert isinstance(run, Run)
    probabilities = run.probabilities(torch.zeros(2, run.preprocessing.features))
    assert probabilities.shape == (2, len(run.classes))
    assert all(isinstance(value, float) for name in ("train_loss", "validation_loss") for value in run.history[name])
    shutil.rmtree(spare, ignore_errors=True)
    again = open_run(run.save(spare))
    assert weights(again.network) == weights(run.network)
    return "a run"


def look_at_checkpoint(folders: Folders, spare: Path) -> str:
    """Take up the changed checkpoint: it is one, or the error is ours."""
    from sumtoone.training.fused import FusedEngine
    from sumtoone.training.plain import PlainEngine
    from sumtoone.training.process import surroundings

    try:
        begun = unfinished(folders.begun, DATASET, None)
    except SumtooneError as error:
        return _worded(error)
    assert isinstance(begun, Unfinished)
    with surroundings(begun.plan) as around:
        engine = FusedEngine(begun.plan, 1) if around.fused else PlainEngine(begun.plan)
    engine.restore(begun.tensors)
    return "a checkpoint"


def _worded(error: SumtooneError) -> str:
    words = str(error)
    assert len(words) < 4000, words[:200]
    assert all(line.isprintable() for line in words.splitlines()), repr(words)
    return error.code


def go_through(count: int, seed: int, home: Path) -> Counter[str]:
    """Make so many changes; return what became of them. Raises, with the number of the change, where one is neither."""
    folders, became = Folders(home), Counter[str]()
    changes: list[tuple[Callable[[random.Random], None], Callable[[Folders, Path], str]]] = [
        (folders.change_run, look_at_run),
        (folders.change_checkpoint, look_at_checkpoint),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for number in range(count):
            change, look = changes[number % 2]
            change(random.Random(f"{seed} {number}"))
            began = time.monotonic()
            try:
                became[look(folders, home / "spare")] += 1
            except Exception as error:
                raise AssertionError(f"change {number} of seed {seed}") from error
            assert time.monotonic() - began < 20, f"change {number} of seed {seed} takes too long"
    return became


if __name__ == "__main__":
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as home:
        print(go_through(int(sys.argv[1]), int(*sys.argv[2:] or [0]), Path(home)))
