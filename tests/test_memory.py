"""Memory that is not there is an error of ours, in Python as on the command line; in processes with limits."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

LIMITED = """
    import resource
    import sumtoone as s1, torch
    from sumtoone.data.split import Split
    torch.set_num_threads(1)
    digits = s1.load("digits")
    s1.evaluate(s1.fit(s1.Network("784-4-10"), digits, epochs=1), digits.test)
    rows = Split(torch.zeros(4_000, 8), torch.zeros(4_000, dtype=int))
    names = tuple(map(str, range(60_000)))
    run = s1.Run(s1.Network("8-4-60000"), s1.Preprocessing(8), names, s1.History(), s1.TrainingOptions(), "r", "r", "")
    with open("/proc/self/statm") as file:
        held = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + {room} * 2**20, -1))
    try:
        {call}
    except s1.UnavailableError as error:
        assert error.got.endswith(" MiB are free"), error.got
        print(error.code, error.try_)
"""


@pytest.mark.parametrize(
    ("call", "room"),
    [
        ("s1.fit(s1.Network('784-9000-9000-10'), digits, epochs=1)", 500),
        ("s1.fit(s1.Network('784-9000-9000-10'), digits, epochs=1, engine='plain')", 500),
        ("run.probabilities(rows.inputs)", 300),
        ("s1.evaluate(run, rows)", 5),
    ],
)
def test_a_lack_of_memory_is_told(call: str, room: int) -> None:
    program = textwrap.dedent(LIMITED).format(call=call, room=room)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "memory close other programs, take part of the rows, or a smaller network or batch\n"
