"""Attacks in what a body says: values, documents, fields and tensors that are none, and paths that lead nowhere."""

from __future__ import annotations

import json
import random
import struct
from typing import Any

from benchmarks.load.attacks import ANYTHING, REFUSED, Attack
from benchmarks.load.questions import BINARY, Known, http

Random = random.Random


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _values(known: Known, random_: Random) -> Attack:
    """A row of the right length with one value that is none."""
    texts = (
        "NaN",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1",
        "256",
        "1e400",
        "null",
        "true",
        "[]",
        "{}",
        "0x10",
        "-",
        "007",
    )
    wrong = {text: text for text in texts}
    wrong |= {"nothing": "", "a text": '"7"', "a lone half": '"\\ud800"', "a huge number": "9" * 400}
    name = random_.choice(list(wrong))
    values = [str(value) for value in known.rows[random_.randrange(len(known.rows))].tolist()]
    values[random_.randrange(len(values))] = wrong[name]
    row = ",".join(values)
    tensor = f'{{"name":"input","shape":[1,{len(values)}],"datatype":"FP32","data":[{row}]}}'
    request = random_.choice(
        (
            http("/predict", f'{{"pixels":[{row}]}}'.encode()),
            http("/predict", f'{{"pixels":[[{row}]]}}'.encode()),
            http(known.infer, f'{{"inputs":[{tensor}]}}'.encode()),
        )
    )
    return Attack("values", name, request)


def _documents(known: Known, random_: Random) -> Attack:
    """What is no JSON, or not an object."""
    row = _json({"pixels": known.rows[0].tolist()})
    depth = random_.choice((100, 1_000, 20_000))
    bodies = {
        "empty": b"",
        "cut": row[: random_.randrange(len(row))],
        "doubled": row + row,
        "no UTF-8": b'{"pixels": "\xff\xfe"}',
        "UTF-16": '{"pixels": []}'.encode("utf-16"),
        "a list": b"[]",
        "a text": b'"pixels"',
        "a number": b"7",
        "null": b"null",
        "nested lists": b"[" * depth + b"]" * depth,
        "nested pixels": b'{"pixels":' + b"[" * depth + b"1" + b"]" * depth + b"}",
        "nested objects": b'{"a":' * depth + b"1" + b"}" * depth,
        "open lists": b"[" * depth,
        "a comment": b'{"pixels": [] /* none */}',
        "NUL": b"\0" * 100,
        "XML": b"<pixels><pixel>1</pixel></pixels>",
        "a form": b"pixels=1&pixels=2",
        "random": random_.randbytes(random_.randrange(1, 2_000)),
    }
    name = random_.choice(list(bodies))
    kind = random_.choice(("application/json", "application/json; charset=utf-8"))
    return Attack("documents", name, http(random_.choice(("/predict", known.infer)), bodies[name], kind))


def _fields(known: Known, random_: Random) -> Attack:
    """Objects whose fields or shapes are not those that are asked for."""
    row = known.rows[0].tolist()
    wide = [row] * 3
    documents: dict[str, Any] = {
        "no field": {},
        "another field": {"image": row},
        "two fields": {"pixels": row, "vector": row},
        "no values": {"pixels": []},
        "no rows": {"pixels": [[], []]},
        "one value": {"pixels": [1]},
        "one too few": {"pixels": row[:-1]},
        "one too many": {"pixels": [*row, 0]},
        "ragged": {"pixels": [row, row[:-1]]},
        "ragged rows": {"pixels": [row[:28], row[:27]]},
        "five deep": {"pixels": [[[[wide]]], 1]},
        "a number": {"pixels": 7},
        "a text": {"pixels": "7" * 784},
        "an object": {"pixels": {"0": row}},
        "divided": {"pixels": [value / 255 for value in row]},
        "columns of a picture": {"columns": {"a": 1.0}},
        "no columns": {"columns": {}},
        "columns as a list": {"columns": [1, 2]},
        "no rows of names": {"rows": []},
        "rows of numbers": {"rows": [1]},
        "rows without names": {"rows": [{}]},
        "one more axis": {"vector": [row]},
        "a flat list of vectors": {"vectors": row[:-1]},
        "a thousand fields": {f"field {place}": place for place in range(1_000)},
        "a prototype": {"__proto__": {"pixels": row}, "constructor": 1},
    }
    name = random_.choice(list(documents))
    return Attack(
        "fields", name, http("/predict", _json(documents[name])), ANYTHING if name == "one more axis" else REFUSED
    )


def _tensors(known: Known, random_: Random) -> Attack:
    """The inference protocol's documents, wrong in one place."""
    row = known.rows[0].tolist()
    good = {"name": "input", "shape": [1, len(row)], "datatype": "UINT8", "data": row}
    changes: dict[str, dict[str, Any]] = {
        "data a number": {"data": 7},
        "data a text": {"data": "7777"},
        "data an object": {"data": {"0": 1}},
        "data null": {"data": None},
        "data empty": {"data": []},
        "data ragged": {"data": [row, row[:5]]},
        "data of texts": {"data": ["1"] * len(row)},
        "data with a null": {"data": [*row[:-1], None]},
        "too few": {"data": row[:-1]},
        "too many": {"data": [*row, 1]},
        "no such name": {"name": "tensor"},
        "name a number": {"name": 7},
        "shape a number": {"shape": 784},
        "shape empty": {"shape": []},
        "shape negative": {"shape": [-1, 784]},
        "shape of nothing": {"shape": [0, 784]},
        "shape of texts": {"shape": ["1", "784"]},
        "shape of truths": {"shape": [True, 784]},
        "shape of fractions": {"shape": [1.5, 784]},
        "shape huge": {"shape": [2**62, 784]},
        "shape beyond 64 bits": {"shape": [2**70, 784]},
        "shape turned": {"shape": [784, 1]},
        "shape of too many": {"shape": [1] * 1_000 + [784]},
        "a type unknown": {"datatype": "FP8"},
        "a type of bytes": {"datatype": "BYTES"},
        "a type of truths": {"datatype": "BOOL"},
        "a type a number": {"datatype": 7},
        "no type": {"datatype": None},
        "parameters a list": {"parameters": [1]},
        "binary size without bytes": {"parameters": {"binary_data_size": 784}, "data": None},
        "binary size negative": {"parameters": {"binary_data_size": -1}, "data": None},
    }
    name = random_.choice([*changes, "inputs", "outputs"])
    if name in changes:
        document: dict[str, Any] = {"inputs": [{**good, **changes[name]}]}
    elif name == "inputs":
        document = {
            "inputs": random_.choice(([], None, 7, "x", {}, [7], [None], [[]], [good, good], [{}], [good] * 300))
        }
    else:
        wrong: Any = random_.choice(
            (7, "x", {}, [7], [{}], [{"name": "nothing"}], [{"name": 7}], [{"name": "label"}] * 300)
        )
        document = {"inputs": [good], "outputs": wrong}
    return Attack("tensors", name, http(known.infer, _json(document)), ANYTHING if name in _TOLERABLE else REFUSED)


_TOLERABLE = ("outputs", "shape of too many", "parameters a list")


def _binary(known: Known, random_: Random) -> Attack:
    """The binary extension, lying about its lengths or with values that are none."""
    pixels = known.rows[0].tobytes()
    described = {"name": "input", "shape": [1, len(pixels)], "datatype": "UINT8"}

    def head(size: Any) -> bytes:
        return _json({"inputs": [{**described, "parameters": {"binary_data_size": size}}]})

    good = head(len(pixels))
    lengths = {
        "negative": "-1",
        "no number": "many",
        "nothing": "",
        "zero": "0",
        "one too few": str(len(good) - 1),
        "one too many": str(len(good) + 1),
        "beyond the body": str(len(good) + len(pixels) + 1),
        "huge": "9" * 30,
        "a fraction": f"{len(good)}.0",
        "exponent": "1e3",
        "spaced": f"{len(good)} {len(good)}",
        "other digits": "\u0661\u0662",
        "plus": f"+{len(good)}0",
    }
    name = random_.choice([*(f"length {name}" for name in lengths), "size", "payload", "floats"])
    if name.startswith("length "):
        length = lengths[name.removeprefix("length ")]
        return Attack("binary", name, http(known.infer, good + pixels, BINARY, Inference_Header_Content_Length=length))
    if name == "size":
        size: Any = random_.choice((0, 1, 783, 785, -1, 2**62, 2**70, "784x", 784.5, None, [784], {}, 1e300))
        first, rest = head(size), pixels
    elif name == "payload":
        first, rest = good, random_.choice((b"", pixels[:-1], pixels + b"\0", pixels * 2))
    else:
        worst = random_.choice((float("nan"), float("inf"), -float("inf"), 1e30, -5.0))
        rest = struct.pack(f"<{len(pixels)}f", *[*pixels[:-1], worst])
        described["datatype"] = "FP32"
        first = head(len(rest))
    return Attack("binary", name, http(known.infer, first + rest, BINARY, Inference_Header_Content_Length=len(first)))


def _paths(known: Known, random_: Random) -> Attack:
    """Models, versions, files and methods that do not exist."""
    body = _json({"pixels": known.rows[0].tolist()})
    models = ("other", "%2e%2e", "%00", "a" * 3_000, "%ff", "%F0%9F%92%A9", known.model + "/", "%2F", ";drop", "*", "?")
    model = random_.choice(models)
    versions = ("0", "2", "-1", "latest", "1e9", "9" * 400)
    unknown = [
        *(f"/v2/models/{model}/{rest}" for rest in ("infer", "ready", "versions/1/infer")),
        *(f"/v2/models/{known.model}/versions/{version}/infer" for version in versions),
    ]
    ups = ("../" * 12, "..%2f" * 12, "%2e%2e/" * 12, "/", "....//" * 9, "..\\" * 9, "%252e%252e/" * 12)
    nowhere = [
        *(f"/static/{up}etc/passwd" for up in ups),
        *("/page/../run.json", "/page/weights/-1.bin", "/page/weights/../../x", "/page/weights/9999999999999.bin"),
        *(
            f"/page/weights/{'9' * 5_000}.bin",
            "/page/%00.json",
            "/.git/config",
            "/" + "a/" * 5_000,
            "/v2//models",
            "//",
        ),
        *("/predict/", "/predict%00", "/PREDICT", "/v3/models", "/docs/../../x", "/static/", "/page/", "/static/%00"),
    ]
    if random_.random() < 0.4:
        path = random_.choice(unknown)
        return Attack("paths", "unknown models", http(path, body, method=random_.choice(("POST", "GET", "PUT"))))
    methods = ("GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "PROPFIND", "G" * 500)
    if random_.random() < 0.3:
        return Attack("paths", "methods", http("/predict", body, method=random_.choice(methods[2:])), ANYTHING)
    return Attack("paths", "nowhere", http(random_.choice(nowhere), body, method=random_.choice(methods)), ANYTHING)


FAMILIES = (_values, _documents, _fields, _tensors, _binary, _paths)
