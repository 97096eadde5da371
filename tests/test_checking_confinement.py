"""A learner's code in a confined child: what it may do, what stops it, and that nothing of it gets out or stays."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sumtoone.checking.confinement import Limits, Nursery
from sumtoone.checking.confinement.frames import Incoming, Malformed, pack
from sumtoone.checking.confinement.limits import PROPERTIES, missing, reached
from sumtoone.checking.subject import Stopped
from sumtoone.errors import UnavailableError, UsageError

HERE = Path(__file__).parent
CORPUS = HERE / "submissions" / "hostile.txt"
NONCE = bytes(range(16))
LESSON = [np.zeros((64, 1, 28, 28), np.float32), np.zeros(64, np.int64)]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="confinement is proved on Linux alone")


def run(subject: Any, source: str) -> list[dict[str, Any]]:
    """Run code and return what it defined."""
    reply, _ = subject.ask({"do": "run", "cells": [{"number": None, "source": source}]}, LESSON)
    return reply["defined"]


def namespaces_work() -> bool:
    return subprocess.run(["unshare", "-Urmnp", "--fork", "mount", "--make-rprivate", "/"], check=False).returncode == 0


@pytest.fixture(scope="module", params=["strong", "good"])
def nursery(request: pytest.FixtureRequest) -> Iterator[Nursery]:
    if request.param == "strong" and not namespaces_work():
        pytest.skip("this system refuses namespaces")
    with Nursery(request.param, Limits(seconds=5.0, memory=256 << 20, output=1 << 18)) as made:
        yield made
    assert not members(made)


def session(nursery: Nursery) -> int:
    assert nursery._process is not None
    return nursery._process.pid


def processes(leader: int) -> list[int]:
    """Return the processes of a session; a nursery begins one, and nothing confined can leave it."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            words = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(words[3]) == leader:
            found.append(int(stat.parent.name))
    return found


def members(nursery: Nursery) -> list[int]:
    return processes(session(nursery)) if nursery._process else []


# --- frames


def unpacked(frame: bytes, nonce: bytes = NONCE) -> tuple[dict[str, Any], list[Any]]:
    incoming = Incoming()
    incoming.add(frame)
    assert not incoming.wanted()
    return incoming.unpack(nonce)


def test_a_frame_brings_words_and_arrays_back() -> None:
    arrays = [
        np.float64(3.5).reshape(()),
        np.arange(6, dtype=np.float32).reshape(2, 3).T,
        np.array([[True, False]]),
        np.zeros((0, 7), np.int64),
        np.array([np.nan, -np.inf]),
        np.arange(3, dtype=">i4"),
    ]
    words, back = unpacked(pack(NONCE, {"텍스트": ["a\n", None, 1.5, True]}, arrays))
    assert words == {"텍스트": ["a\n", None, 1.5, True]}
    assert [array.shape for array in back] == [(), (3, 2), (1, 2), (0, 7), (2,), (3,)]
    for before, after in zip(arrays, back, strict=True):
        np.testing.assert_array_equal(before, after)
        assert after.flags.writeable


def frame(body: bytes, words: int, arrays: int = 0, length: int | None = None) -> bytes:
    return struct.pack("<16sIIQ", NONCE, words, arrays, len(body) if length is None else length) + body


@pytest.mark.parametrize(
    "bad",
    [
        frame(b"{}", 2**32 - 1),
        frame(b"{}", 2, 2**31),
        frame(b"{}", 2, 0, 2**63),
        frame(b"{}", 2) + b"x",
        frame(b"[]", 2),
        frame(b"{", 1),
        frame(b'{"a":NaN}', 9),
        frame(b'{"a":1e999}', 11),
        frame(b'{"a":"\\ud800"}', 14),
        frame(b'{"a":"\xff"}', 9),
        frame(b'{"a":' + b"9" * 5000 + b"}", 5006),
        frame(b'{"a":' + b"[" * 100_000, 100_005),
        frame(b"{}x", 2),
        frame(b"{}", 2, 1),
        frame(b"{}\x63\x01" + bytes(8), 2, 1),
        frame(b"{}\x01\xff" + bytes(8), 2, 1),
        frame(b"{}\x01\x02" + struct.pack("<2Q", 2**62, 2**62), 2, 1),
        frame(b"{}\x01\x02" + struct.pack("<2Q", 0, 2**62), 2, 1),
        frame(b"{}\x01\x01" + struct.pack("<Q", 5) + b"1234", 2, 1),
    ],
)
def test_bytes_that_are_no_frame_are_refused(bad: bytes) -> None:
    with pytest.raises(Malformed):
        unpacked(bad)


def test_an_answer_to_another_question_is_refused() -> None:
    with pytest.raises(Malformed, match=r"^it answers no question that was asked$"):
        unpacked(pack(NONCE, {}), bytes(16))


def test_what_no_frame_holds_is_refused_before_it_is_sent() -> None:
    with pytest.raises(ValueError, match=r"not JSON compliant"):
        pack(NONCE, {"a": float("nan")})
    with pytest.raises(ValueError, match=r"^no frame holds an array of <U1 with 1 dimensions$"):
        pack(NONCE, {}, [np.array(["x"])])
    with pytest.raises(ValueError, match=r"^a frame of 1048584 bytes, 1048584 of them words, with 0 arrays$"):
        pack(NONCE, {"a": "x" * (1 << 20)})


# --- levels


def test_a_level_is_what_was_proved() -> None:
    everything = dict.fromkeys(PROPERTIES, True)
    assert reached(everything) == "strong"
    assert reached(everything | {"existence": False}) == "good"
    assert reached(everything | {"network": False}) == reached({}) == "weak"
    assert missing("good", {"files": True}) == ("writes", "network", "signals", "processes", "memory")


def test_every_promise_of_a_level_is_proved(nursery: Nursery) -> None:
    assert nursery.level == nursery.isolation
    assert nursery.proved == dict.fromkeys(PROPERTIES, True) | {"existence": nursery.level == "strong"}


@pytest.mark.parametrize(
    ("without", "dead"),
    [
        (["landlock", "seccomp"], {"files", "writes", "network", "signals", "existence"}),
        (["seccomp", "limits"], {"network", "processes", "memory", "existence"}),
    ],
)
def test_a_canary_lives_where_what_it_watches_is_left_out(without: list[str], dead: set[str], tmp_path: Path) -> None:
    submission = tmp_path / "submission.py"
    submission.write_text("x = 1")
    with Nursery("good", _without=without) as nursery, pytest.raises(UnavailableError) as caught:
        nursery.open(submission).__enter__()
    assert caught.value.code == "check-isolation"
    assert {name for name, proved in nursery._proved.items() if not proved} == dead
    assert set(caught.value.fields["missing"].split(", ")) == dead - {"existence"}


def test_strong_is_refused_without_namespaces() -> None:
    with Nursery("strong", _without=["namespaces"]) as nursery, pytest.raises(UnavailableError) as caught:
        nursery.open(sys.executable).__enter__()
    assert caught.value.fields == {"wanted": "strong", "missing": "existence"}


def test_what_is_only_weak_is_refused_unless_it_was_asked_for() -> None:
    with Nursery(None, _without=["landlock", "namespaces"]) as nursery, pytest.raises(UnavailableError):
        _ = nursery.level
    with Nursery("weak") as nursery, nursery.open(sys.executable) as subject:
        assert nursery.level == "weak"
        run(subject, "print('hello')")
        assert subject.printed == "hello"


def test_an_unknown_level_is_refused() -> None:
    with pytest.raises(UsageError, match="one of strong, good, weak"):
        Nursery("iron")


# --- a subject


def test_a_submission_answers(nursery: Nursery) -> None:
    with nursery.open(CORPUS) as subject:
        [entry] = run(subject, "print('a\\tb\\x1b[2J')\ndef f(x):\n    return x * 2")
        reply, [doubled] = subject.ask({"do": "call", "key": entry["key"]}, [np.ones((5, 3))])
        assert reply["error"] is None
        np.testing.assert_array_equal(doubled, np.full((5, 3), 2.0))
        assert subject.printed == "a    b\\x1b[2J"


def test_a_late_import_from_the_libraries_works(nursery: Nursery) -> None:
    with nursery.open(CORPUS) as subject:
        run(subject, "import xml.dom.minidom, wsgiref.util\nprint(xml.dom.minidom.Document().nodeName)")
        assert subject.printed == "#document"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("import ctypes\nctypes.string_at(0)", "crashed"),
        ("import os\nos.write(4, b'x' * 999)", "forbidden"),
        ("while True:\n    print('x' * 1000)", "output-limit"),
    ],
)
def test_a_submission_is_stopped_and_can_be_opened_again(nursery: Nursery, source: str, reason: str) -> None:
    with nursery.open(CORPUS) as subject:
        with pytest.raises(Stopped) as caught:
            run(subject, source)
        assert caught.value.reason == reason
        with pytest.raises(Stopped) as again:
            run(subject, "x = 1")
        assert again.value.args == caught.value.args
        if reason != "output-limit":
            subject.reopen()
            run(subject, "print('once more')")
            assert subject.printed == "once more"


def test_time_is_counted_over_all_children(nursery: Nursery) -> None:
    with nursery.open(CORPUS) as subject:
        subject._left = 0.3
        with pytest.raises(Stopped) as caught:
            run(subject, "print('begun')\nwhile True:\n    pass")
        assert (caught.value.reason, subject.printed, subject.seconds_left) == ("time-limit", "begun", 0.0)
        with pytest.raises(Stopped):
            subject.reopen()


def test_a_nursery_that_died_is_replaced(nursery: Nursery) -> None:
    os.kill(session(nursery), signal.SIGKILL)
    nursery._process.wait()
    with nursery.open(CORPUS) as subject:
        assert run(subject, "x = 1") is not None


def test_nothing_stays_behind(nursery: Nursery) -> None:
    before = [sorted(Path(folder).iterdir()) for folder in ("/proc/self/fd", "/dev/shm")]
    standing = None
    for _ in range(20):
        with nursery.open(CORPUS) as subject:
            run(subject, "x = [1]")
        standing = standing or members(nursery)
        assert members(nursery) == standing
    assert [sorted(Path(folder).iterdir()) for folder in ("/proc/self/fd", "/dev/shm")] == before


def test_the_end_of_the_checker_is_the_end_of_everything(nursery: Nursery) -> None:
    level = nursery.isolation
    script = (
        "from sumtoone.checking.confinement import *; import numpy as np, sys\n"
        f"nursery = Nursery({level!r}).__enter__(); subject = nursery.open(sys.executable).__enter__()\n"
        "print(nursery._process.pid, flush=True)\n"
        "subject.ask({'do': 'run', 'cells': [{'number': None, 'source': 'while True: pass'}]},"
        " [np.zeros((64, 1, 28, 28), np.float32), np.zeros(64, np.int64)])"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as checker:
        leader = int(checker.stdout.readline())
        time.sleep(0.2)
        assert len(processes(leader)) >= 2
        checker.kill()
    until = time.monotonic() + 5
    while processes(leader) and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes(leader)


def test_files_that_shadow_modules_are_not_imported(tmp_path: Path) -> None:
    for name in ("torch", "numpy", "json", "sitecustomize", "usercustomize", "conftest", "socket", "ctypes"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'touched')!r}, 'w')")
    script = (
        "import sys; from sumtoone.checking.confinement import *\n"
        f"sys.path.insert(0, {str(tmp_path)!r})\n"
        "with Nursery('good') as nursery: print(nursery.level)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "good\n"
    assert not (tmp_path / "touched").exists()
