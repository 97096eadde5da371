"""The load generator itself, against servers that misbehave in a known way: whatever they do is found and counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator
from itertools import count, islice

import numpy as np
import pytest

from benchmarks.load import assault, clients, connections, crowds, questions
from benchmarks.load.attacks import ANYTHING, CUT, REFUSED, Attack
from benchmarks.load.clients import Crowd, Tally
from benchmarks.load.connections import Address, Answer, parsed, until_the_end
from benchmarks.load.questions import Known, Question

Behaviour = Callable[[int, bytes, asyncio.StreamWriter], Awaitable[None]]


@pytest.fixture(scope="module")
def known() -> Known:
    """Eight rows that stand for themselves: the first ten pixels say the probabilities."""
    rows = np.random.default_rng(0).integers(1, 256, (8, 784), dtype=np.uint8)
    probabilities = rows[:, :10] / rows[:, :10].sum(axis=1, keepdims=True)
    return Known("digits", rows, probabilities.astype(np.float32), tuple("0123456789"), (28, 28), ())


def answered(row: list[float], status: bytes = b"200 OK", more: bytes = b"") -> bytes:
    shares = np.array(row[:10]) / sum(row[:10])
    table = dict(zip("0123456789", shares.tolist(), strict=True))
    body = json.dumps({"model": "digits", "label": str(shares.argmax()), "probabilities": table}).encode()
    return http_answer(status, body, more)


def http_answer(status: bytes, body: bytes, more: bytes = b"") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), more, body)


def asked(behaviour: Behaviour, known: Known, requests: int = 40, **more: float) -> Tally:
    """Let four clients ask a server that answers its n-th request as it is told to."""
    numbers = count()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                await behaviour(next(numbers), await reader.readexactly(length), writer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def both() -> Tally:
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        how = {name: int(more[name]) for name in ("depth", "pieces") if name in more}
        crowd = Crowd(address, questions.of_one_kind(known, questions.pixels), requests=requests, **how)
        if "rate" in more:
            crowd = Crowd(address, questions.of_one_kind(known, questions.pixels), until=time.perf_counter() + 0.5)
            tally = await clients.opened(crowd, more["rate"], 4)
        else:
            tally = await clients.closed(crowd, 4)
        server.close()
        return tally

    return connections.run(both())


def row_of(body: bytes) -> list[float]:
    return json.loads(body)["pixels"]


async def honest(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
    writer.write(answered(row_of(body)))


def now_and_then(what: Callable[[list[float]], bytes], *, close: bool = False) -> Behaviour:
    """Answer one request in ten in another way, the others rightly."""

    async def behave(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        if number % 10 != 5:
            await honest(number, body, writer)
            return
        writer.write(what(row_of(body)))
        if close:
            writer.close()

    return behave


def test_every_request_to_an_honest_server_is_answered_rightly(known: Known) -> None:
    tally = asked(honest, known)
    assert (tally.sent, tally.answers, tally.right, tally.faults) == (40, {200: 40}, 40, [])
    assert tally.connections == 4
    assert tally.goodput > 0
    assert tally.milliseconds(50) <= tally.milliseconds(99)


@pytest.mark.parametrize("how", [{"pieces": 5}, {"depth": 5}])
def test_requests_may_come_in_pieces_and_some_at_once(how: dict[str, float], known: Known) -> None:
    tally = asked(honest, known, **how)
    assert (tally.sent, tally.right, tally.faults) == (40, 40, [])
    some = asked(now_and_then(lambda row: b"", close=True), known, **how)
    assert some.lost >= 4
    assert some.sent == some.right + some.lost


def test_an_answer_to_another_request_is_found(known: Known) -> None:
    held: list[tuple[bytes, asyncio.StreamWriter]] = []

    async def crossed(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        held.append((body, writer))
        if len(held) == 2:
            for (mine, _), (_, theirs) in zip(held, reversed(held), strict=True):
                theirs.write(answered(row_of(mine)))
            held.clear()

    tally = asked(crossed, known)
    assert tally.wrong == 40
    assert tally.faults == ["40 wrong"]
    assert "another's probabilities" in tally.examples[0]


@pytest.mark.parametrize(
    ("behaviour", "faults", "answers"),
    [
        (now_and_then(lambda row: answered(row, more=b"X: y\r\n") * 2), ["{} bytes astray"], {200: 40}),
        (now_and_then(lambda row: answered(row)[:-5], close=True), ["4 lost"], {200: 36}),
        (now_and_then(lambda row: b"", close=True), ["4 lost"], {200: 36}),
        (now_and_then(lambda row: answered(row, b"500 No")), ["4 of another status"], {200: 36, 500: 4}),
        (now_and_then(lambda row: answered(row, b"503 No")), ["4 wrong"], {200: 36, 503: 4}),
        (now_and_then(lambda row: http_answer(b"503 No", b'{"error": "full"}')), ["4 wrong"], {200: 36, 503: 4}),
        (now_and_then(lambda row: http_answer(b"429 No", b'{"error": "slowly"}')), [], {200: 36, 429: 4}),
        (now_and_then(lambda row: http_answer(b"503 No", b'{"error": "full"}', b"Retry-After: 1\r\n")), [], None),
        (now_and_then(lambda row: http_answer(b"200 OK", b"no JSON")), ["4 wrong"], {200: 40}),
        (now_and_then(lambda row: answered([row[1], row[0], *row[2:]])), ["4 wrong"], {200: 40}),
        (now_and_then(lambda row: b"no HTTP at all\r\n\r\n"), ["4 lost"], {200: 36}),
    ],
)
def test_what_is_no_right_answer_is_counted(
    behaviour: Behaviour, faults: list[str], answers: dict[int, int] | None, known: Known
) -> None:
    tally = asked(behaviour, known)
    length = len(answered(known.rows[0].tolist(), more=b"X: y\r\n"))
    assert [fault.replace(str(tally.stray), "{}") for fault in tally.faults] == faults
    assert tally.answers == (answers or {200: 36, 503: 4})
    assert tally.stray == 0 or abs(tally.stray / 4 - length) < 20
    assert tally.sent == 40


def test_who_is_not_answered_at_all_is_counted(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "PATIENCE", 0.3)
    tally = asked(now_and_then(lambda row: b""), known)
    assert tally.faults == ["4 unanswered"]
    assert tally.sent == tally.right + 4


def test_what_is_sent_after_the_end_was_announced_may_be_turned_away(known: Known) -> None:
    async def both(told: float) -> Tally:
        async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(leave, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        crowd = Crowd(address, questions.of_one_kind(known, questions.pixels), requests=8, told_to_stop=told)
        tally = await clients.closed(crowd, 2)
        server.close()
        return tally

    late = connections.run(both(time.perf_counter()))
    assert (late.turned_away, late.lost, late.faults) == (8, 0, [])
    lost = connections.run(both(float("inf")))
    assert (lost.turned_away, lost.lost, lost.faults) == (0, 8, ["8 lost"])


def test_the_open_loop_keeps_its_rate_whatever_the_server_does(known: Known) -> None:
    async def slow(number: int, body: bytes, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await honest(number, body, writer)

    # Four connections carry eighty requests a second; a thousand are due.
    tally = asked(slow, known, rate=1_000)
    assert tally.faults == []
    assert tally.right == tally.sent <= 60
    assert tally.not_sent + tally.sent >= 400
    assert tally.not_sent > tally.sent


@pytest.mark.parametrize(
    ("received", "found"),
    [
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHT", (200, b"ok", b"HT")),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n1;x\r\n!\r\n0\r\n\r\n", (200, b"ok!", b"")),
        (b"HTTP/1.1 304 Not Modified\r\nETag: x\r\n\r\n", (304, b"", b"")),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n", None),
        (b"HTTP/1.1 200 OK\r\n", None),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", None),
    ],
)
def test_answers_are_read_as_http_has_them(received: bytes, found: tuple[int, bytes, bytes] | None) -> None:
    answer = parsed(received)
    assert (answer and (answer[0].status, answer[0].body, received[answer[1] :])) == found


def test_an_answer_without_a_length_ends_with_the_connection() -> None:
    assert until_the_end(b"HTTP/1.1 400 No\r\nX: y\r\n\r\nwhy") == Answer(400, {}, b"why")
    assert until_the_end(b"HTTP/1.1 400 No\r\nContent-Length: 9\r\n\r\nwhy") is None
    assert until_the_end(b"HTTP/1.1 400 No\r\n") is None


def test_idle_and_slow_connections_come_again_when_they_are_cut() -> None:
    async def both() -> crowds.Beside:
        numbers, again = count(1), asyncio.Event()

        async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if next(numbers) >= 36:
                again.set()
                await reader.read()
            writer.close()

        server = await asyncio.start_server(cut, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        async with crowds.beside(address, 8, 4) as seen, asyncio.timeout(30):
            await again.wait()
        server.close()
        return seen

    seen = connections.run(both())
    assert seen.cut_idle >= 8
    assert seen.cut_slow >= 4


# --- attacks


@pytest.mark.parametrize(
    ("outcome", "answer", "fault"),
    [
        (REFUSED, Answer(400, {}, b'{"error": "no"}'), ""),
        (REFUSED, Answer(503, {b"retry-after": b"1"}, b'{"error": "full"}'), ""),
        (REFUSED, Answer(503, {}, b'{"error": "full"}'), "503 without Retry-After"),
        (REFUSED, Answer(400, {}, b"no"), "400 without a reason"),
        (REFUSED, Answer(400, {}, b'{"error": {}}'), "400 without a reason"),
        (CUT, Answer(400, {}, b"no"), ""),
        (CUT, Answer(200, {}, b"{}"), "taken: 200"),
        (REFUSED, Answer(200, {}, b"{}"), "taken: 200"),
        (ANYTHING, Answer(200, {}, b"{}"), ""),
        (ANYTHING, Answer(500, {}, b"{}"), "500"),
        (ANYTHING, Answer(200, {}, b'"Traceback (most recent call last)"'), "200 tells b'Traceback'"),
    ],
)
def test_the_answer_to_an_attack_is_judged(outcome: str, answer: Answer, fault: str) -> None:
    assert assault.fault(Attack("family", "name", b"", outcome), answer) == fault


def some_pictures(known: Known) -> Known:
    content = bytes(range(256)) * 4
    return Known(known.model, known.rows, known.probabilities, known.classes, known.shape, ((content, known.rows),))


def test_attacks_are_the_same_for_a_seed_and_of_every_family(known: Known) -> None:
    known = some_pictures(known)
    first, again, other = (list(islice(assault.drawn(known, seed), 2_000)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert {attack.family for attack in first} == {
        *("values", "documents", "fields", "tensors", "binary", "paths"),
        *("hosts", "lengths", "chunks", "bytes", "multipart", "pictures", "bombs"),
    }


def test_an_assault_on_a_server_that_takes_everything_finds_faults(known: Known) -> None:
    attacks: Iterator[Attack] = (attack for attack in assault.drawn(some_pictures(known)) if attack.family == "values")

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0]))
                writer.write(http_answer(b"200 OK", b"{}"))
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    async def both() -> assault.Damage:
        server = await asyncio.start_server(take, "127.0.0.1", 0)
        address = Address("127.0.0.1", server.sockets[0].getsockname()[1])
        some: Iterator[Question] = questions.of_one_kind(known, questions.pixels)
        damage = assault.Damage()
        await assault.assault(address, attacks, some, 50, damage, workers=2)
        server.close()
        return damage

    damage = connections.run(both())
    assert damage.sent == 50
    assert damage.outcomes == {"200": 50}
    assert sum(number for fault, number in damage.faults.items() if fault.endswith("taken: 200")) == 50
    assert damage.faults["a pixels in order: wrong"] == 3
    assert damage.asked_after == 0
