"""Attacks on HTTP itself: lengths that lie, chunks without end, headers that are none, hosts that are not ours."""

from __future__ import annotations

import json
import random

from benchmarks.load.attacks import ANYTHING, CUT, REFUSED, Attack
from benchmarks.load.questions import Known, http

_LINE = "POST /predict HTTP/1.1\r\nContent-Type: application/json\r\n"


def _body(known: Known, random_: random.Random) -> bytes:
    return json.dumps({"pixels": known.rows[random_.randrange(len(known.rows))].tolist()}).encode()


def _raw(headers: str, body: bytes, host: str = "Host: 127.0.0.1\r\n") -> bytes:
    return f"{_LINE}{host}{headers}\r\n".encode("latin-1") + body


def _hosts(known: Known, random_: random.Random) -> Attack:
    """Hosts and origins that are not this server's: what a page on another site would make a browser send."""
    body = _body(known, random_)
    length = f"Content-Length: {len(body)}\r\n"
    hosts = ("evil.example", "127.0.0.1.evil.example", "evil.example:80", "[::1", "a" * 2_000, "127.0.0.1@evil.example")
    origins = (
        "http://evil.example",
        "https://127.0.0.1.evil.example",
        "null",
        "file://",
        "http://localhost.evil.example",
    )
    name = random_.choice(("host", "no host", "empty host", "two hosts", "origin", "site"))
    if name == "origin":
        return Attack("hosts", name, _raw(f"{length}Origin: {random_.choice(origins)}\r\n", body))
    if name == "site":
        return Attack(
            "hosts", name, _raw(f"{length}Origin: http://evil.example\r\nSec-Fetch-Site: cross-site\r\n", body)
        )
    lines = {
        "host": f"Host: {random_.choice(hosts)}\r\n",
        "no host": "",
        "empty host": "Host: \r\n",
        "two hosts": "Host: evil.example\r\nHost: 127.0.0.1\r\n",
    }
    return Attack("hosts", name, _raw(length, body, lines[name]), CUT)


def _lengths(known: Known, random_: random.Random) -> Attack:
    """A Content-Length that is not the body's."""
    body = _body(known, random_)
    lying = {
        "too long": (str(len(body) + random_.randrange(1, 10_000)), True),
        "too short": (str(random_.randrange(len(body))), False),
        "negative": ("-1", False),
        "no number": ("many", False),
        "empty": ("", False),
        "huge": (str(10**18), False),
        "beyond 64 bits": (str(10**40), False),
        "plus": (f"+{len(body)}", False),
        "hexadecimal": (hex(len(body)), False),
        "a list": (f"{len(body)}, {len(body) + 1}", False),
        "two": (f"{len(body)}\r\nContent-Length: {len(body) + 1}", False),
        "with chunks": (f"{len(body)}\r\nTransfer-Encoding: chunked", False),
    }
    name = random_.choice(list(lying))
    value, half_close = lying[name]
    return Attack("lengths", name, _raw(f"Content-Length: {value}\r\n", body), CUT, half_close or name != "too short")


def _chunks(known: Known, random_: random.Random) -> Attack:
    """Bodies in chunks that are none, or that end in the middle."""
    body = _body(known, random_)
    chunk = f"{len(body):x}\r\n".encode() + body + b"\r\n"
    bodies = {
        "no size": b"zz\r\n" + body,
        "a negative size": b"-5\r\n" + body,
        "a huge size": b"f" * 16 + b"\r\n" + body,
        "a size beyond 64 bits": b"f" * 40 + b"\r\n" + body,
        "too short a size": b"5\r\n" + body + b"\r\n0\r\n\r\n",
        "no end": chunk,
        "cut": chunk[: random_.randrange(1, len(chunk))],
        "a long extension": b"5;" + b"a" * 20_000 + b"\r\nabcde\r\n0\r\n\r\n",
        "bytes one by one": b"".join(b"1\r\n%c\r\n" % byte for byte in b"[" * 2_000) + b"0\r\n\r\n",
        "trailers": b"0\r\n" + b"X: y\r\n" * 500 + b"\r\n",
    }
    name = random_.choice(list(bodies))
    return Attack("chunks", name, _raw("Transfer-Encoding: chunked\r\n", bodies[name]), CUT, half_close=True)


def _bytes(known: Known, random_: random.Random) -> Attack:
    """What is no HTTP/1.1, or hardly."""
    body = _body(known, random_)
    good = http("/predict", body)
    length = f"Content-Length: {len(body)}\r\n"
    sent = {
        "random": random_.randbytes(random_.randrange(1, 4_000)),
        "TLS": bytes.fromhex("16030100f8010000f40303") + random_.randbytes(240),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + random_.randbytes(60),
        "HTTP/0.9": b"GET /\r\n\r\n",
        "HTTP/9.9": good.replace(b"HTTP/1.1", b"HTTP/9.9", 1),
        "lines only": b"\r\n" * 3_000,
        "a header too many": _raw(length + "".join(f"X-{place}: y\r\n" for place in range(3_000)), body),
        "a header too long": _raw(f"{length}X: {'y' * 200_000}\r\n", body),
        "NUL in a header": _raw(f"{length}X: a\0b\r\n", body),
        "a folded header": _raw(f"{length}X: a\r\n b\r\n", body),
        "a header without a colon": _raw(f"{length}nothing\r\n", body),
        "spaces before the colon": _raw(f"{length}X : y\r\n", body),
        "a line too long": good.replace(b"/predict", b"/" + b"p" * 100_000, 1),
        "an encoding": _raw(f"{length}Content-Encoding: gzip\r\n", body),
        "an upgrade": _raw(f"{length}Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n", body),
        "a type without end": _raw(f"{length}Content-Type: {'a/' * 3_000}\r\n", body),
        "a whole address": good.replace(b"/predict", b"http://evil.example/predict", 1),
        "CONNECT": b"CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n",
        "cut": good[: random_.randrange(1, len(good))],
    }
    name = random_.choice(list(sent))
    tolerable = name in ("an encoding", "an upgrade", "a folded header", "HTTP/9.9", "a type without end", "HTTP/0.9")
    tolerable = tolerable or name.startswith(("a header", "spaces", "NUL", "a whole"))
    return Attack("bytes", name, sent[name], ANYTHING if tolerable else CUT, half_close=True)


def _multipart(known: Known, random_: random.Random) -> Attack:
    """Forms where a tensor belongs, and forms that are none."""
    kind = "multipart/form-data; boundary=edge"
    part = (
        b'--edge\r\nContent-Disposition: form-data; name="%s"; filename="%s"\r\nContent-Type: image/png\r\n\r\n%s\r\n'
    )
    file = known.pictures[0][0]
    forms = {
        "no boundary": (b"nothing", "multipart/form-data"),
        "a long boundary": (b"nothing", f"multipart/form-data; boundary={'e' * 5_000}"),
        "empty": (b"", kind),
        "no end": (part % (b"file", b"a.png", file), kind),
        "cut": ((part % (b"file", b"a.png", file))[: random_.randrange(1, 200)], kind),
        "no file": (b'--edge\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--edge--\r\n', kind),
        "two files": (part % (b"a", b"a.png", file) + part % (b"b", b"b.png", file) + b"--edge--\r\n", kind),
        "no picture": (part % (b"file", b"../../etc/passwd", b"root") + b"--edge--\r\n", kind),
        "a name too long": (part % (b"file", b"a" * 30_000, b"x") + b"--edge--\r\n", kind),
        "a header without end": (b"--edge\r\nX: " + b"y" * 50_000, kind),
        "nothing known": (random_.randbytes(500), "multipart/mixed; boundary=edge"),
        "a thousand parts": (part % (b"file", b"a.png", b"x") * 1_000 + b"--edge--\r\n", kind),
    }
    name = random_.choice(list(forms))
    body, kind = forms[name]
    if name != "cut" and random_.random() < 0.3:
        form = part % (b"file", b"a.png", file) + b"--edge--\r\n"
        return Attack("multipart", "for a tensor", http(known.infer, form, "multipart/form-data; boundary=edge"))
    return Attack(
        "multipart", name, http("/predict", body, kind), ANYTHING if name in ("no end", "two files") else REFUSED
    )


def _pictures(known: Known, random_: random.Random) -> Attack:
    """Files that are no pictures, or no whole ones."""
    file = known.pictures[random_.randrange(len(known.pictures))][0]
    flipped = bytearray(file)
    flipped[random_.randrange(16, len(file))] ^= 1 << random_.randrange(8)
    files = {
        "empty": (b"", REFUSED),
        "cut": (file[: random_.randrange(1, len(file) // 2)], REFUSED),
        "a bit turned": (bytes(flipped), ANYTHING),
        "random": (random_.randbytes(3_000), REFUSED),
        "only a head": (b"\x89PNG\r\n\x1a\n", REFUSED),
        "no PNG": (b"\xff\xd8\xff\xe0" + random_.randbytes(300), REFUSED),
        "SVG": (b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>', REFUSED),
        "TIFF": (b"II*\0\x08\0\0\0" + bytes(100), REFUSED),
        "PDF": (b"%PDF-1.7\n" + bytes(300), REFUSED),
        "EPS": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n" + bytes(300), REFUSED),
    }
    name = random_.choice(list(files))
    content, outcome = files[name]
    return Attack("pictures", name, http("/predict", content, random_.choice(("image/png", "image/jpeg"))), outcome)


FAMILIES = (_hosts, _lengths, _chunks, _bytes, _multipart, _pictures)
