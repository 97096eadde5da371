"""A check that is killed goes on where it was: nothing lost, nothing twice, nothing that was half written."""

from __future__ import annotations

import inspect
import json
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from threading import Thread

import pytest

from sumtoone.checking.journal import Journal
from sumtoone.checking.verdict import Case, Finding, Verdict
from sumtoone.errors import DataError

posix = pytest.mark.skipif(os.name != "posix", reason="kill -9")


def verdict(number: int, size: int = 20) -> Verdict:
    return Verdict(
        f"학생/{number}\n\udc80.py",
        "softmax",
        passed=bool(number % 2),
        finding=Finding("global-sum", 3, 1, {"sums": "0.1, 0.9"}),
        remarks=(Finding("overflows", 4),),
        cases=(Case("small", 3.0, passed=True),),
        seconds=0.25,
        isolation="good",
        printed="\x1b[2J",
        source=f"# {number}\n" * size,
    )


def test_what_was_added_is_known(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        assert journal.known == {}
        journal.add("a", [verdict(1), verdict(2)])
        journal.add("b", [])
        assert journal.known == {"a": [verdict(1), verdict(2)], "b": []}
    with Journal("key", tmp_path) as journal:
        assert journal.known == {"a": [verdict(1), verdict(2)], "b": []}
        assert [found.text for found in journal.known["a"]] == [verdict(1).text, verdict(2).text]
        journal.finish()
    assert list(tmp_path.rglob("*.*")) == []


def test_another_check_has_another_journal(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as one, Journal("other", tmp_path) as other:
        one.add("a", [verdict(1)])
        assert other.known == {}
    with Journal("other", tmp_path) as other:
        assert other.known == {}


def test_the_last_word_on_a_submission_counts(tmp_path: Path) -> None:
    for number in (1, 2):
        with Journal("key", tmp_path) as journal:
            journal.add("a", [verdict(number)])
    with Journal("key", tmp_path) as journal:
        assert journal.known == {"a": [verdict(2)]}


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        with pytest.raises(DataError) as caught:
            Journal("key", tmp_path)
        assert (caught.value.code, caught.value.exit_code) == ("check-busy", 3)
        assert caught.value.got == f"another process that holds {journal.path.with_suffix('.lock')}"
        journal.add("a", [verdict(1)])
    with Journal("key", tmp_path) as journal:
        assert list(journal.known) == ["a"]


def test_a_folder_that_cannot_be_written_is_our_error(tmp_path: Path) -> None:
    (tmp_path / "checks").write_bytes(b"")
    with pytest.raises(DataError) as caught:
        Journal("key", tmp_path)
    assert caught.value.code == "check-journal"
    (tmp_path / "checks").unlink()
    Journal("key", tmp_path).close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full disk at hand")
def test_a_full_disk_is_our_error_and_leaves_no_half_line(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        journal.add("a", [verdict(1)])
        kept = os.dup(journal._handle)
        full = os.open("/dev/full", os.O_WRONLY)
        os.dup2(full, journal._handle)
        with pytest.raises(DataError) as caught:
            journal.add("b", [verdict(2)])
        assert caught.value.code == "check-journal"
        assert "b" not in journal.known
        os.dup2(kept, journal._handle)
        journal.add("c", [verdict(3)])
        os.close(kept)
        os.close(full)
    with Journal("key", tmp_path) as journal:
        assert journal.known == {"a": [verdict(1)], "c": [verdict(3)]}


def test_threads_write_whole_lines(tmp_path: Path) -> None:
    def work(journal: Journal, first: int) -> None:
        for number in range(first, first + 25):
            journal.add(str(number), [verdict(number, size=2_000)])

    with Journal("key", tmp_path) as journal:
        workers = [Thread(target=work, args=(journal, first)) for first in (0, 25, 50, 75)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    with Journal("key", tmp_path) as journal:
        assert journal.known == {str(number): [verdict(number, size=2_000)] for number in range(100)}


def test_cut_at_any_byte_it_loses_only_the_torn_line(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        journal.add("a", [verdict(1)])
        first = journal.path.stat().st_size
        journal.add("b", [verdict(2)])
    whole = journal.path.read_bytes()
    for length in range(len(whole) + 1):
        journal.path.write_bytes(whole[:length])
        with Journal("key", tmp_path) as again:
            # Without its line's end an entry is whole all the same.
            known = [name for name, end in (("a", first), ("b", len(whole))) if length >= end - 1]
            assert list(again.known) == known
            if length % 97 == 0:
                again.add("c", [verdict(3)])
                again.close()
                with Journal("key", tmp_path) as third:
                    assert list(third.known) == [*known, "c"]


def test_a_damaged_line_counts_as_never_written(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        for number in range(3):
            journal.add(str(number), [verdict(number)])
    lines = journal.path.read_bytes().split(b"\n")
    for place in range(0, len(lines[1]), 7):
        damaged = bytearray(lines[1])
        damaged[place] ^= 1
        journal.path.write_bytes(b"\n".join([lines[0], bytes(damaged), lines[2], b""]))
        with Journal("key", tmp_path) as again:
            assert list(again.known) == ["0", "2"]


def test_it_is_for_its_owner_alone(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        assert os.name != "posix" or journal.path.stat().st_mode & 0o077 == 0


WRITER = f"""
import os, sys, time
from pathlib import Path
from sumtoone.checking.journal import Journal
from sumtoone.checking.verdict import Case, Finding, Verdict

{inspect.getsource(verdict)}

with Journal("key", Path(sys.argv[1])) as journal:
    os.write(1, b"open\\n")
    for number in range(int(sys.argv[2])):
        if str(number) not in journal.known:
            journal.add(str(number), [verdict(number, size=4_000)])
            os.write(1, b"%d\\n" % number)
    os.write(1, b"done\\n")
    time.sleep(60)
"""
ENTRIES = 300


@posix
def test_killed_at_fifty_moments_it_goes_on_without_loss(tmp_path: Path) -> None:
    chance = random.Random(5)
    acknowledged: list[int] = []
    moments, within, done = 0, 0, False
    while moments < 50 or not done:
        moments += 1
        # A writer that is done has nothing left to be killed in: it is given more to do.
        entries = ENTRIES if moments >= 50 else 1_000_000
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(entries)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stdout.readline() == b"open\n"
        time.sleep(chance.uniform(0.0, 0.003) if moments < 50 else 1.0)
        process.kill()
        told = process.stdout.read().splitlines()
        process.stdout.close()
        process.wait()
        done = b"done" in told
        acknowledged += [int(line) for line in told if line.isdigit()]
        with Journal("key", tmp_path) as journal:
            assert {str(number) for number in acknowledged} - set(journal.known) == set()
            within += len(journal.known) > len(acknowledged)
            torn = journal._torn
        within += torn
    # None was judged twice, none is missing, and all are what an undisturbed check would have found.
    assert len(acknowledged) == len(set(acknowledged))
    with Journal("key", tmp_path) as journal:
        expected = {str(number): [verdict(number, size=4_000)] for number in range(len(journal.known))}
        assert len(expected) >= ENTRIES
        assert journal.known == expected
        journal.finish()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert within > 0, "no moment was within an entry: the test sees too little"


def test_a_line_is_json_behind_its_sum(tmp_path: Path) -> None:
    with Journal("key", tmp_path) as journal:
        journal.add("a", [verdict(1)])
    total, _, body = journal.path.read_bytes().partition(b" ")
    assert len(total) == 16
    assert json.loads(body)[0] == "a"
