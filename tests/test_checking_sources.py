"""Reading submissions: what is found, what is set aside, which exercise it is; hostile files included."""

from __future__ import annotations

import io
import json
import os
import struct
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sumtoone.checking import archives, sources
from sumtoone.checking.definitions import statically_defined, template, unfinished
from sumtoone.checking.inert import Inert, Progress, subplots, trange
from sumtoone.checking.magics import without_magics
from sumtoone.checking.recognition import candidates, near_forward
from sumtoone.checking.repairs import repair
from sumtoone.checking.sources import gather, read
from sumtoone.checking.syntax import Cell, attempt
from sumtoone.checking.verdict import Verdict
from sumtoone.errors import DataError
from sumtoone.language import speaking

RIGHT = "def softmax(x):\n    return x.exp() / x.exp().sum(dim=1, keepdim=True)\n"


def exercise(name: str, kind: str, defines: str, *spellings: str) -> SimpleNamespace:
    return SimpleNamespace(name=name, kind=kind, defines=defines, spellings=spellings)


EXERCISES = [
    exercise("handmade-network", "script", "out", "output"),
    exercise("softmax", "softmax", "softmax", "my_softmax"),
    exercise("sigmoid-network", "network", "Network", "Net"),
    exercise("relu-network", "network", "ReluNetwork"),
    exercise("stable-softmax", "function", "stable_softmax", "softmax_stable"),
    exercise("log-softmax", "function", "log_softmax"),
    exercise("cross-entropy", "function", "cross_entropy", "my_cross_entropy"),
    exercise("linear", "function", "linear"),
    exercise("softmax-gradient", "function", "softmax_gradient"),
    exercise("temperature", "function", "softmax_with_temperature"),
]


def notebook(*cells: str) -> bytes:
    made = nbformat.v4.new_notebook()
    made.cells = [nbformat.v4.new_markdown_cell("# Lesson"), *map(nbformat.v4.new_code_cell, cells)]
    return nbformat.writes(made).encode()


NOTEBOOK = notebook(RIGHT)


def submitted(folder: Path, name: str, content: bytes | str) -> sources.Submission:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    (found,) = gather([path])
    return read(found)


def zipped(path: Path, **members: bytes | str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def answers(text: str, path: str = "", asked: str | None = None) -> list[tuple[tuple[str, ...], str]]:
    found = candidates(statically_defined([Cell(None, text)]), EXERCISES, path, asked)
    return [(one.exercises, one.name) for one in found]


# --- finding


def test_a_folder_gives_its_submissions_in_order(tmp_path):
    names = ["b/two.py", "a/one.ipynb", "a/One.PY", "c.py", "README.md", "data.csv", ".hidden/x.py", "._c.py"]
    names += ["__pycache__/x.py", ".ipynb_checkpoints/one.ipynb", "home/lib/x.py", "helper.py", "a/__init__.py"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(RIGHT)
    (tmp_path / "home/pyvenv.cfg").write_text("")
    found = gather([tmp_path, tmp_path / "c.py"])
    assert [one.path for one in found] == [
        f"{tmp_path}/{name}" for name in ("a/One.PY", "a/one.ipynb", "b/two.py", "c.py")
    ]


def test_links_do_not_lead_out_of_a_folder(tmp_path):
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.py").write_text("password = 1")
    (inside / "own.py").write_text(RIGHT)
    (inside / "link.py").symlink_to(outside / "secret.py")
    (inside / "folder").symlink_to(outside)
    (inside / "loop.py").symlink_to(inside / "loop.py")
    (inside / "same.py").symlink_to(inside / "own.py")
    assert [Path(one.path).name for one in gather([inside])] == ["own.py"]


@pytest.mark.parametrize("name", ["notes.txt", "picture.png", "none"])
def test_what_is_no_submission_is_refused_where_it_was_named(tmp_path, name):
    (tmp_path / name).write_text("x")
    with pytest.raises(DataError) as caught:
        gather([tmp_path / name])
    assert caught.value.code == "check-kind"
    assert str(caught.value).startswith("This file is no submission [check-kind]")


def test_paths_that_lead_nowhere_are_our_errors(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    for path, code in (
        ("none.py", "data-missing-path"),
        ("pipe.py", "data-path-kind"),
        ("a\0b.py", "data-missing-path"),
    ):
        with pytest.raises(DataError) as caught:
            gather([tmp_path / path])
        assert caught.value.code == code
    (tmp_path / "x.zip").write_bytes(b"no zip")
    with pytest.raises(DataError) as caught:
        gather([tmp_path / "x.zip"])
    assert caught.value.code == "check-archive"


def test_a_pipe_or_a_damaged_zip_in_a_folder_is_a_row(tmp_path):
    os.mkfifo(tmp_path / "a.py")
    (tmp_path / "b.zip").write_bytes(b"PK\5\6")
    os.mkfifo(tmp_path / "c.zip")
    codes = [read(one).problem.code for one in gather([tmp_path])]
    assert codes == ["file-unreadable", "file-damaged", "file-damaged"]


def test_more_submissions_than_the_limit_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "MOST_SUBMISSIONS", 3)
    for number in range(4):
        (tmp_path / f"{number}.py").write_text(RIGHT)
    with pytest.raises(DataError) as caught:
        gather([tmp_path])
    assert caught.value.code == "check-large"


def test_hostile_names_are_shown_printable(tmp_path):
    names = ["a\x1b[2Jb.py", "new\nline.py", os.fsdecode(b"half\xff.py"), "\u202egnp.py"]
    for name in names:
        (tmp_path / name).write_text(RIGHT)
    for one in gather([tmp_path]):
        assert one.path.isprintable()
        assert read(one).problem is None


# --- zips


def test_a_zip_is_read_in_memory(tmp_path):
    path = zipped(
        tmp_path / "all.zip", **{"b/한글.py": RIGHT, "a.ipynb": notebook(RIGHT), "c.txt": "x", "__MACOSX/._a.py": "x"}
    )
    found = gather([path])
    assert [one.path for one in found] == [f"{path}/a.ipynb", f"{path}/b/한글.py"]
    assert all(read(one).problem is None for one in found)
    assert [each.name for each in tmp_path.iterdir()] == ["all.zip"]


def test_hostile_members_are_rows_that_say_why(tmp_path):
    path = tmp_path / "x.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")
        for name in (
            "../../etc/cron.py",
            "/absolute.py",
            "C:\\x.py",
            "a\x1b[2J\n.py",
            "twice.py",
            "twice.py",
            "inner.zip",
        ):
            archive.writestr(name, RIGHT)
        link = zipfile.ZipInfo("link.py")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    found = {one.path.removeprefix(f"{path}/"): read(one).problem for one in gather([path])}
    codes = {name: problem and problem.code for name, problem in found.items()}
    assert codes == {
        "../../etc/cron.py": "file-name",
        "/absolute.py": "file-name",
        "C:\\x.py": "file-name",
        "a\\x1b[2J\\n.py": None,
        "inner.zip": "file-archive",
        "link.py": "file-name",
        "twice.py": None,
        "twice.py#2": "file-name",
    }


def test_a_bomb_costs_no_memory(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"a.py": b"#" * (64 * 2**20), "b.py": RIGHT})
    codes = [one.problem and one.problem.code for one in map(read, gather([path]))]
    assert codes == ["file-large", None]
    # One that lies about its size is unpacked no further than the limit.
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, content.index(b"PK\1\2") + 24, 100)
    path.write_bytes(bytes(content))
    codes = [one.problem and one.problem.code for one in map(read, gather([path]))]
    assert codes == ["file-large", None]


def test_encrypted_damaged_and_strangely_packed_members(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"a.py": RIGHT * 20})
    whole = bytearray(path.read_bytes())
    central = whole.index(b"PK\1\2")
    for place, value, code in (
        (central + 8, 1, "file-encrypted"),
        (central + 10, 99, "file-damaged"),
        (40, 0xFF, "file-damaged"),
        (0, 0, "file-damaged"),
    ):
        changed = bytearray(whole)
        changed[place] = value
        path.write_bytes(bytes(changed))
        (one,) = gather([path])
        assert read(one).problem.code == code


def test_a_directory_of_millions_is_refused_before_it_is_read(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"a.py": RIGHT})
    content = bytearray(path.read_bytes())
    struct.pack_into("<L", content, len(content) - 10, 2**31)
    path.write_bytes(bytes(content))
    with pytest.raises(archives.Damaged, match="2,147,483,648 > 4,194,304"):
        archives.members(path)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_bytes_in_a_zip_end_in_a_row_or_our_error(tmp_path_factory, data):
    path = zipped(tmp_path_factory.mktemp("fuzz") / "x.zip", **{"a.py": RIGHT, "b.ipynb": NOTEBOOK})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    try:
        found = gather([path])
    except DataError:
        return
    for one in found:
        read(one)


def test_names_in_the_code_page_of_windows_are_read(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"aaaa.py": RIGHT})
    path.write_bytes(path.read_bytes().replace(b"aaaa", "과제".encode("cp949")))
    assert [one.path for one in gather([path])] == [f"{path}/과제.py"]


def test_names_that_no_code_page_explains_stay_as_they_are(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"aaaa.py": RIGHT})
    # Half of a letter in UTF-8, and in Korea's code page no letter either.
    raw = b"\x80aa\x80"
    path.write_bytes(path.read_bytes().replace(b"aaaa", raw))
    assert [one.path for one in gather([path])] == [f"{path}/{raw.decode('cp437')}.py"]


def test_a_large_directory_of_zip64_is_refused_before_it_is_read(tmp_path):
    path = zipped(tmp_path / "x.zip", **{"a.py": RIGHT})
    whole = path.read_bytes()
    end = whole[-22:]
    record = struct.pack("<4sQHHLLQQQQ", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(whole) - 22, 1)
    path.write_bytes(whole[:-22] + record + locator + end)
    with pytest.raises(archives.Damaged, match="1,099,511,627,776 > 4,194,304"):
        archives.members(path)
    path.write_bytes(whole[:-22] + b"\0" * len(record) + locator + end)
    with pytest.raises(archives.Damaged, match="Zip64"):
        archives.members(path)
    with pytest.raises(DataError) as caught:
        gather([path])
    assert caught.value.got == f"{path}: Zip64"


def test_an_archive_beyond_the_limit_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "x.zip"
    with path.open("wb") as file:
        file.truncate(archives.MOST_ARCHIVE + 1)  # of holes: it takes no room
    with pytest.raises(archives.Damaged, match="1,073,741,825 > 1,073,741,824"):
        archives.members(path)


def test_what_stands_for_plots_takes_everything_and_gives_nothing_away():
    nothing = Inert()
    with nothing as inside, nothing.figure(figsize=(3, 4)):
        inside["size"] = 3
        for one in inside["bars"]:
            assert repr(-one + 1 - one * 2 / 3) == "<nothing is shown here>"
    assert nothing(len) is len

    class Mine(nothing):
        pass

    assert Mine.__bases__ == (object,)
    with pytest.raises(AttributeError):
        nothing.__array__  # noqa: B018 - NumPy asks so
    figure, axes = subplots(2, 3)
    assert (type(figure), axes.shape) == (Inert, (2, 3))
    assert subplots(squeeze=False)[1].shape == (1, 1)
    assert type(subplots()[1]) is Inert


def test_what_stands_for_a_bar_hands_on_what_it_is_given():
    with Progress([3, 4], desc="epochs") as bar:
        assert (list(bar), len(bar)) == ([3, 4], 2)
        bar.set_postfix(loss=0.5)
    assert list(trange(1, 4)) == [1, 2, 3]
    with pytest.raises(AttributeError):
        bar.__array__  # noqa: B018 - NumPy asks so


# --- files


@pytest.mark.parametrize(
    "content",
    [
        "# coding: cp949\nname = '소프트맥스'\n".encode("cp949"),
        "﻿name = '소프트맥스'\n".encode(),
        "name = '소프트맥스'\r\n".encode(),
        "name = '소프트맥스'\n".encode("utf-16"),
        "\f\nname = '소프트맥스'\n".encode(),
    ],
)
def test_encodings_are_read_as_python_reads_them(tmp_path, content):
    made = submitted(tmp_path, "a.py", content)
    names: dict[str, str] = {}
    assert made.problem is None
    exec(compile(made.cells[0].source, "x", "exec"), names)
    assert names["name"] == "소프트맥스"
    assert "\r" not in made.source


@pytest.mark.parametrize(
    ("content", "line", "error"),
    [
        (b"x = 1\nprint 'hello'\n", 2, "Missing parentheses in call to 'print'. Did you mean print(...)?"),
        (b"def f(x):\n\treturn x\n        y\n", 3, "inconsistent use of tabs and spaces in indentation"),
        (b"x = (1\n", 1, "'(' was never closed"),
        (b"x = 1\n\ny = '\xff'\n", 3, "'utf-8' cannot decode byte 0xff"),
        (b"# coding: punycode\nx", 1, "unknown encoding: punycode"),
        (b"# coding: nonsense\nx", None, "unknown encoding: nonsense"),
        (b"(" * 5000, 1, "too many nested parentheses"),
        (b"-" * 100_000 + b"1", 1, "too deeply nested"),
        (b"a" + b".a" * 100_000, 1, "too deeply nested"),
        (b"x = " + b"9" * 10_000, None, None),
    ],
)
def test_what_is_no_python_says_where_and_why(tmp_path, content, line, error):
    problem = submitted(tmp_path, "a.py", content).problem
    assert problem.code == "syntax-error"
    assert line is None or problem.line == line
    assert error is None or problem.fields["error"] == error


def test_null_bytes_are_a_syntax_error(tmp_path):
    assert "null bytes" in submitted(tmp_path, "a.py", b"x = 1\0\n").problem.fields["error"]


def test_doubtful_escapes_warn_nobody(tmp_path):
    assert submitted(tmp_path, "a.py", 'x = "\\d"\nassert (x, 1)\n').problem is None


@pytest.mark.parametrize("content", ["", "\n\n", "# nothing\n", "﻿"])
def test_an_empty_file_is_not_found(tmp_path, content):
    assert submitted(tmp_path, "a.py", content).problem.code == "not-found"


def test_large_files_are_refused(tmp_path):
    problem = submitted(tmp_path, "a.py", b"#" * (2**20 + 1)).problem
    assert (problem.code, problem.fields["limit"]) == ("file-large", "1 MiB")


def test_magics_copied_into_a_file_are_set_aside(tmp_path):
    made = submitted(tmp_path, "a.py", "%matplotlib inline\n" + RIGHT)
    assert made.problem is None
    assert [(aside.why, aside.line) for aside in made.set_aside] == [("magic", 1)]
    assert made.source.startswith("%matplotlib")


def test_digests_are_of_the_content(tmp_path):
    first, second, third = (
        submitted(tmp_path, name, text).digest for name, text in (("a.py", "x=1"), ("b.py", "x=1"), ("c.py", "x=2"))
    )
    assert first == second != third
    assert len(first) == 64


@pytest.mark.parametrize("spoken", ["en", "ko"])
def test_every_problem_of_a_file_has_its_words(spoken):
    with speaking(spoken):
        for code in ("unreadable", "large", "damaged", "encrypted", "archive", "name"):
            problem = sources._problem(f"file-{code}", "what it is", limit="1 MiB")
            verdict = Verdict("a.py", None, False, problem)
            assert verdict.text
            assert verdict.hint


# --- notebooks


def test_cells_are_numbered_and_one_mistake_hides_nothing(tmp_path):
    made = submitted(tmp_path, "a.ipynb", notebook("x = 1", "", "y = (", "!pip install six", RIGHT))
    assert [cell.number for cell in made.cells] == [1, 4, 5]
    assert [cell.number for cell in made.broken] == [3]
    assert made.problem is None
    (flaw,) = made.flaws
    assert (flaw.code, flaw.cell, flaw.line, flaw.fields["what"]) == ("syntax-error", 3, 1, "y = (")
    assert [(aside.why, aside.cell) for aside in made.set_aside] == [("shell", 4), ("syntax-error", 3)]
    assert made.source == f"# cell 1\nx = 1\n\n# cell 3\ny = (\n\n# cell 4\n!pip install six\n\n# cell 5\n{RIGHT}"


def test_a_notebook_of_nothing_but_mistakes_says_the_first(tmp_path):
    problem = submitted(tmp_path, "a.ipynb", notebook("x = 1 +", "def")).problem
    assert (problem.code, problem.cell) == ("syntax-error", 1)
    assert submitted(tmp_path, "b.ipynb", notebook()).problem.code == "not-found"
    assert submitted(tmp_path, "c.ipynb", notebook("# only words")).problem.code == "not-found"


def test_the_third_version_of_the_format_is_read(tmp_path):
    cell = nbformat.v3.new_code_cell(input=RIGHT)
    old = nbformat.v3.new_notebook(worksheets=[nbformat.v3.new_worksheet(cells=[cell])])
    made = submitted(tmp_path, "a.ipynb", json.dumps(old))
    assert [cell.source for cell in made.cells] == [RIGHT]


def test_outputs_are_not_looked_at(tmp_path):
    content = json.loads(notebook(RIGHT))
    content["cells"][1]["outputs"] = [{"output_type": "nonsense", "data": {"text/html": ["<script>" * 100_000]}}]
    assert submitted(tmp_path, "a.ipynb", json.dumps(content)).problem is None


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"null", b"3", b'"x"', b"\xff\xfe", b"{}", b'{"nbformat": 4}',
        b'{"nbformat": 99, "cells": []}',
        b'{"nbformat": "4", "cells": []}', b'{"nbformat": 4, "cells": 3}', b'{"nbformat": 3, "worksheets": 3}',
        b"[" * 200_000, b'{"nbformat": 4, "cells": ' + b"[" * 200_000, b'{"nbformat": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_notebook_is_damaged(tmp_path, content):
    assert submitted(tmp_path, "a.ipynb", content).problem.code == "file-damaged"


def test_strange_cells_are_passed_over(tmp_path):
    cells = [
        3,
        None,
        "x",
        {},
        {"cell_type": "code"},
        {"cell_type": "code", "source": 3},
        {"cell_type": "code", "source": [1, "y = 2"]},
    ]
    cells += [{"cell_type": "code", "source": "x = '\ud800'"}]
    made = submitted(
        tmp_path, "a.ipynb", json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    )
    assert made.problem is None
    assert [cell.source for cell in made.cells] == ["y = 2", "x = '?'"]


@pytest.mark.parametrize("bare", [{}, {"metadata": {}}])
def test_a_notebook_stripped_bare_is_read(tmp_path, bare):
    content = {"nbformat": 4, "cells": [{"cell_type": "code", "source": RIGHT}], **bare}
    assert submitted(tmp_path, "a.ipynb", json.dumps(content)).problem is None


def test_a_hundred_thousand_cells_are_too_many(tmp_path):
    cells = [{"cell_type": "code", "source": "x = 1"}] * 100_000
    problem = submitted(tmp_path, "a.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})).problem
    assert (problem.code, problem.fields["limit"]) == ("file-large", "5,000")
    cells = [{"cell_type": "code", "source": "#" * 2**20}] * 5
    problem = submitted(tmp_path, "a.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": cells})).problem
    assert (problem.code, problem.fields["limit"]) == ("file-large", "4 MiB")


# --- magics


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("%matplotlib inline\nx = 1", "pass  # %matplotlib inline\nx = 1"),
        ("for i in x:\n    !ls {i}\n", "for i in x:\n    pass  # !ls {i}\n"),
        ("!pip install a \\\n  b\nx = 1", "pass  # !pip install a \\\n#   b\nx = 1"),
        ("files = !ls *.py", "files = []  # !ls *.py"),
        ("x = %pwd", "x = None  # %pwd"),
        ("%time y = f(2)", "y = f(2)"),
        ("%timeit f(2)", "pass  # %timeit f(2)"),
        ("?softmax", "pass  # ?softmax"),
        ("torch.exp??", "pass  # torch.exp??"),
        ("softmax?  # what", "pass  # softmax?  # what"),
        ("pip install torch", "pass  # pip install torch"),
        ("%%time\nx = 1", "# %%time\nx = 1"),
        ("\n# first\n%%capture out\nx = 1", "\n# first\n# %%capture out\nx = 1"),
        ("%%check softmax\nx = 1", "# %%check softmax\nx = 1"),
        ("%%bash\nrm -rf /\n", "# %%bash\n# rm -rf /\n# "),
        ("%%writefile a.py\nx = 1", "# %%writefile a.py\n# x = 1"),
        ("x = 5 \\\n % 3", "x = 5 \\\n % 3"),
        ("x = (5\n% 3)", "x = (5\n% 3)"),
        ('x = """\n%matplotlib\n!ls\n"""', 'x = """\n%matplotlib\n!ls\n"""'),
        ("x = '''a'b\n!ls'''\n!ls", "x = '''a'b\n!ls'''\npass  # !ls"),
        ("x = ''\n!ls", "x = ''\npass  # !ls"),
        ("x = 'it\\'s ('\n!ls", "x = 'it\\'s ('\npass  # !ls"),
        ("# it's (\n!ls", "# it's (\npass  # !ls"),
        ("x = 'never closed\n!ls", "x = 'never closed\npass  # !ls"),
        ("ok = a != b", "ok = a != b"),
        ("x = f(y, '? ')", "x = f(y, '? ')"),
        ("print('what?')", "print('what?')"),
    ],
)  # fmt: skip
def test_what_is_no_python_leaves_its_line(given, wanted):
    assert without_magics(given)[0] == wanted


MAGICS = [
    "%matplotlib inline",
    "!ls 'x (",
    "?x",
    "f.g??",
    'y = !cat """',
    "z = %env X",
    "%time q = 1",
    "pip install six",
]
BLOCKS = [
    "x = 1",
    "def f(a):\n    return a",
    "t = '''\n%no\n!no\n'''",
    "u = (1,\n  2)",
    "# it's",
    "v = 'a\\'b' \\\n + \"'\"",
    "",
]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(MAGICS + BLOCKS), st.booleans()), max_size=12))
def test_lines_stay_where_they_are(pieces):
    parts = ["if 1:\n    " + text if within and text in MAGICS else text for text, within in pieces]
    source = "\n".join(parts)
    plain, asides = without_magics(source)
    assert plain.count("\n") == source.count("\n")
    assert attempt(plain) is not None
    assert len(asides) == sum(text in MAGICS for text, _ in pieces)
    for before, after in zip(source.split("\n"), plain.split("\n"), strict=True):
        assert before.strip() in after or "%time" in before or "=" in before


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab=%!?\\'\"#()[] \n\t:.", max_size=80))
def test_any_text_keeps_its_lines(source):
    plain, _ = without_magics(source)
    assert plain.count("\n") == source.count("\n")
    if attempt(source) is not None:
        assert plain == source


# --- which exercise


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        *(
            (name, "softmax")
            for name in ("softmax", "my_softmax", "sofmax", "soft_max", "softMax", "Softmax", "softmax_fn")
        ),
        *((name, "softmax") for name in ("softmax2", "softmx", "mySoftmax", "softmax_naive", "sotfmax")),
        *((name, "log-softmax") for name in ("log_softmax", "logSoftmax", "my_log_softmax")),
        *((name, "stable-softmax") for name in ("stable_softmax", "softmax_stable", "stablesoftmax")),
        ("softmax_gradient", "softmax-gradient"),
        ("softmax_with_temperature", "temperature"),
        ("crossEntropy", "cross-entropy"),
        *((name, None) for name in ("activation", "sigmoid", "argmax", "test_softmax", "plot_softmax", "f", "train")),
    ],
)
def test_functions_are_found_by_their_names(name, wanted):
    found = answers(f"def {name}(x):\n    return x\n")
    assert found == ([((wanted,), name)] if wanted else [])


def test_the_very_name_wins_over_a_near_one_and_the_last_over_the_first():
    text = (
        "def softmax2(x): return 1\ndef softmax(x): return x\ndef softmax(x): return 2\ndef log_softmax(x): return 3\n"
    )
    found = candidates(statically_defined([Cell(4, text)]), EXERCISES)
    assert [(one.exercises, one.name, one.line, one.cell, one.closeness) for one in found] == [
        (("softmax",), "softmax", 3, 4, 0),
        (("log-softmax",), "log_softmax", 4, 4, 0),
    ]


def test_lambdas_and_classes_can_be_functions():
    assert answers("softmax = lambda x: x") == [(("softmax",), "softmax")]
    assert answers("class Softmax(nn.Module):\n    def forward(self, x): return x.exp()\n") == [
        (("softmax",), "Softmax")
    ]


def test_every_class_may_be_a_network_the_last_first():
    text = "class A(nn.Module):\n    def foward(self, x): return x\nclass B(A): pass\nclass Net:\n    pass\n"
    text += "class Data:\n    n = 1\n"
    both = ("sigmoid-network", "relu-network")
    assert answers(text) == [(both, "Net"), (both, "B"), (both, "A")]
    assert answers("model = nn.Sequential(nn.Linear(1, 2))\nrelu = nn.ReLU()") == [(both, "model")]
    assert answers(text, "relu_network.py")[0] == (("relu-network",), "Net")
    assert answers("class ReLUNet(nn.Module):\n    def forward(self, x): return x.exp()") == [(both[::-1], "ReLUNet")]


def test_the_file_or_the_caller_can_name_the_exercise():
    text = "def activation(x): return 1\ndef f(x): return x\n"
    assert answers(text) == []
    assert answers(text, "homework/softmax_kim.py") == [(("softmax",), "f")]
    assert answers(text, asked="cross-entropy") == [(("cross-entropy",), "f")]
    assert answers(RIGHT + "out = softmax(3)", asked="relu-network") == []


def test_a_hand_made_network_ends_in_a_tensor():
    def entry(name: str, *shape: int) -> dict[str, object]:
        return {"name": name, "kind": "tensor", "shape": list(shape), "line": 1, "cell": 2, "key": len(name)}

    weights = [entry("w1", 784, 256), entry("b1", 256), entry("w2", 256, 10)]
    for out in ("out", "output", "logits", "whatever"):
        (found,) = candidates([*weights, entry(out, 64, 10), entry("probabilities", 64, 10)], EXERCISES)
        assert (found.exercises, found.name, found.key) == (("handmade-network",), out, len(out))
    (found,) = candidates([*weights, entry("out", 64, 256)], EXERCISES)
    assert found.name == "out"
    # The input of a softmax, or a network's output, is no hand-made network.
    function = {"name": "softmax", "kind": "function", "line": 1, "cell": None}
    assert [one.name for one in candidates([function, entry("out", 64, 10)], EXERCISES)] == ["softmax"]
    assert candidates([entry("x", 64, 10)], EXERCISES) == []


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["__init__", "foward"], "foward"),
        (["forword"], "forword"),
        (["Forward", "x"], "Forward"),
        (["forward", "foward"], None),
        (["__init__", "backward", "train", "predict"], None),
        ([], None),
    ],
)
def test_forward_has_near_misses(names, wanted):
    assert near_forward(names) == wanted


# --- unfinished


@pytest.mark.parametrize(
    "source",
    [
        "def softmax(x):\n    pass\n",
        "def softmax(x):\n    '''words'''\n    ...\n",
        "def softmax(x):\n    raise NotImplementedError('todo')\n",
        "def softmax(x):\n    ## TODO: Implement the softmax function here\n\nprobabilities = softmax(out)\n",
        "def softmax(x):\n    # your code here",
        "out = # output of your network, should have shape (64,10)",
        "class Network(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "    def forward(self, x):\n        # yours\n        return x\n",
        "class Network(nn.Module):\n    pass\n",
        "inputs = ...\nout = ...\n",
    ],
)
def test_what_was_given_is_no_attempt(source):
    assert template([Cell(None, source)])


@pytest.mark.parametrize(
    "source",
    [RIGHT, "x = 1", "def softmax(x):\n    return x\n", "class A(nn.Module):\n    def foward(self, x): x.exp()\n"],
)
def test_an_attempt_is_no_template(source):
    assert not template([Cell(None, source)])
    assert template([Cell(None, source + "\n# mine")], source)
    assert unfinished([Cell(None, source)]) == []


def test_unfinished_places_are_known_one_by_one(tmp_path):
    cells = (
        "## Your solution\nout = # output of your network",
        "def softmax(x):\n    ## TODO: here\n\np = softmax(out)",
        "def f(x):\n    pass\ndef g(x): return x",
    )
    made = submitted(tmp_path, "a.ipynb", notebook(*cells))
    assert [flaw.code for flaw in made.flaws] == ["template", "template"]
    left = unfinished((*made.broken, *made.cells))
    assert [(entry["name"], entry["cell"], entry["line"]) for entry in left] == [("softmax", 2, 1), ("f", 3, 1)]


def test_deep_code_is_read_without_harm():
    source = "if x:\n    a = 1\n" + "elif x:\n    a = 1\n" * 700
    statically_defined([Cell(None, source)])
    template([Cell(None, source)], source)
    statically_defined([Cell(None, "class A(" + "-" * 90 + "x): pass")])


# --- broken cells of the lesson


@pytest.mark.parametrize(
    ("kind", "message", "line", "code", "wanted"),
    [
        ("AttributeError", "'_SingleProcessDataLoaderIter' object has no attribute 'next'",
         "a, b = it_loader.next()", "lesson-next", "next(it_loader)"),
        ("ModuleNotFoundError", "No module named 'helper'",
         "import helper", "lesson-helper", "import sumtoone.helper as helper"),
        ("ModuleNotFoundError", "No module named 'six'",
         "import six", "lesson-six", ""),
        ("RuntimeError", "output with shape [1, 28, 28] doesn't match the broadcast shape [3, 28, 28]",
         "x", "lesson-normalize", "transforms.Normalize((0.5,), (0.5,))"),
        ("HTTPError", "HTTP Error 403: Forbidden", "x", "lesson-download", ""),
        ("URLError", "<urlopen error [Errno 1]>", "x", "lesson-download", ""),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (1792x28 and 784x256)",
         "x", "lesson-flatten", "images.view(images.shape[0], -1)"),
        ("RuntimeError", "self must be a matrix",
         "x", "lesson-flatten", "images.view(images.shape[0], -1)"),
        ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (64x256 and 128x10)", "x", None, None),
        ("NameError", "name 'x' is not defined", "x", None, None),
    ],
)  # fmt: skip
def test_broken_cells_are_known_by_their_errors(kind, message, line, code, wanted):
    for key in ("type", "error"):
        found = repair({key: kind, "message": message, "line": 3, "cell": 2}, line)
        assert (found and found.code) == code
        assert found is None or (found.line, found.cell, found.fields["wanted"]) == (3, 2, wanted)


def test_broken_cells_are_known_by_their_text(tmp_path):
    cells = (
        "from six.moves import urllib",
        "t = transforms.Compose([transforms.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])\ndatasets.MNIST('x')",
        "dataiter = iter(trainloader)\nimages, labels = dataiter.next()\n# dataiter.next()",
    )
    found = submitted(tmp_path, "a.ipynb", notebook(*cells)).repairs
    assert [(one.code, one.cell, one.line) for one in found] == [
        ("lesson-six", 1, 1),
        ("lesson-normalize", 2, 1),
        ("lesson-next", 3, 2),
    ]
    assert submitted(tmp_path, "b.py", "# dataiter.next()\nnext(it)\nnode.next()\n").repairs == ()


# --- the lesson's names, in a process of their own

LESSON = """
import helper
import matplotlib.pyplot as plt, numpy as np
import torch
from torchvision import datasets, transforms
import torchvision.transforms as T
from six.moves import urllib
opener = urllib.request.build_opener()
opener.addheaders = [('User-agent', 'x')]
urllib.request.install_opener(opener)
transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,), (0.5,)), T.RandomRotation(3)])
trainset = datasets.MNIST('~/x/', download=True, train=True, transform=transform)
trainloader = torch.utils.data.DataLoader(trainset, batch_size=64, shuffle=True)
own, targets = next(iter(trainloader))
assert own.shape == images.shape and (own == images).all()
assert (targets == labels).all() and targets.dtype == torch.int64
batches = list(torch.utils.data.DataLoader(datasets.FashionMNIST('x', train=False), batch_size=16))
assert len(batches) == 4 and (batches[1][0] == images[16:32]).all()
assert (next(iter(dataiter))[0] == images).all()
assert trainset.data.shape == (64, 28, 28) and trainset[3][0].shape == (1, 28, 28) and len(trainset.classes) == 10
plt.imshow(images[1].numpy().squeeze(), cmap='Greys_r');
fig, (ax1, ax2) = plt.subplots(figsize=(6, 9), ncols=2)
fig, ax = plt.subplots()
fig, axes = plt.subplots(2, 5, figsize=(1, 1))
for axis in axes.flat: axis.axis('off')
axes[1, 2].set_title('x')
line, = ax1.plot([1], [2])
n, bins, patches = plt.hist([1, 2])
plt.rcParams['figure.figsize'] = (1, 2)
with plt.style.context('x'): plt.show()
from mpl_toolkits.mplot3d import Axes3D
import seaborn as sns; sns.set()
from tqdm import tqdm; from tqdm.auto import trange
assert [i for i in tqdm(range(3))] == [0, 1, 2] == list(trange(3))
from IPython.display import Image, display, clear_output; clear_output(wait=True)
from google.colab import drive; drive.mount('/content/drive')
from ipywidgets import interact
@interact(x=3)
def f(x): return x
get_ipython().run_line_magic('matplotlib', 'inline')
helper.view_classify(images[0], None); assert helper.test_network(None, trainloader) is None
import sumtoone.helper as h; assert h.imshow(images[0]) is None
from torchvision.utils import make_grid
np.transpose(make_grid(images).numpy(), (1, 2, 0))
optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1); OrderedDict(); math.pi; F.relu; nn.Linear
images.resize_(64, 784)
assert next(iter(trainloader))[0].shape == (64, 1, 28, 28)
"""
CHILD = """
import builtins, socket, sys
import numpy as np, torch
from sumtoone.checking.standins import install
if {arrays}: images = np.random.rand(64, 1, 28, 28).astype(np.float32)
else: images = torch.rand(64, 1, 28, 28)
labels = torch.arange(64) % 10
names = install(images, labels if not {arrays} else labels.numpy())
def refuse(*a, **k): raise AssertionError("the network")
socket.socket = refuse
exec(compile(sys.stdin.read(), "lesson", "exec"), names)
outside = {{n: m for n, m in sys.modules.items() if n.split(".")[0] in ("matplotlib", "torchvision")}}
real = [n for n, m in outside.items() if getattr(m, "__file__", None)]
assert not real, real
try: import requests_of_nobody
except ModuleNotFoundError: print("fine")
"""


@pytest.mark.parametrize("arrays", [False, True])
def test_the_lessons_cells_run_without_network_or_display(arrays):
    child = [sys.executable, "-W", "error", "-c", CHILD.format(arrays=arrays)]
    done = subprocess.run(child, input=LESSON, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_batches_are_made_of_the_very_images():
    source = """
import torch
from sumtoone.checking.performing import Performer
import numpy as np
cell = {"number": 1, "source": "import torch.utils.data as d\\n"
  "x, y = next(iter(d.DataLoader(datasets.MNIST('x'), batch_size=64, shuffle=True)))\\n"
  "out = x.view(64, 784) @ torch.ones(784, 10)"}
p = Performer()
reply, _ = p.answer({"do": "run", "cells": [cell]}, [np.ones((64, 1, 28, 28), np.float32), np.zeros(64, np.int64)])
assert not reply["errors"], reply
key = [e["key"] for e in reply["defined"] if e["name"] == "out"][-1]
print(len(p.answer({"do": "trace", "key": key}, [])[0]["layers"]))
"""
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.stderr) == ("1\n", "")


def test_reading_needs_no_torch(tmp_path):
    (tmp_path / "a.ipynb").write_bytes(notebook(RIGHT))
    source = (
        "import sys; from sumtoone.checking.sources import gather, read; import sumtoone.checking.recognition;"
        f"print(read(gather([{str(tmp_path)!r}])[0]).problem);"
        "print([m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("None\n[]\n", "")


def test_notebooks_of_hundreds_are_read_at_once(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(300):
            archive.writestr(f"{number:03}.ipynb", notebook("%matplotlib inline", RIGHT))
    (tmp_path / "all.zip").write_bytes(buffer.getvalue())
    assert sum(read(one).problem is None for one in gather([tmp_path])) == 300


def test_a_part_of_a_network_is_no_exercise_of_its_own():
    both = ("sigmoid-network", "relu-network")
    layer = "class MyLinear(nn.Module):\n    def forward(self, x): return x.exp()\n"
    network = "class Net(nn.Module):\n    def forward(self, x): return x.exp()\nsoftmax = nn.Softmax(dim=1)\n"
    assert answers(layer) == [(("linear",), "MyLinear")]
    assert answers(layer + network) == [(both, "Net")]
    assert answers(RIGHT + network) == [(("softmax",), "softmax"), (both, "Net")]


def test_names_are_known_where_the_text_is_no_python():
    assert answers("w1 = torch.randn(784, 256)\nout = torch.mm(images w1)") == [(("handmade-network",), "out")]
    assert answers("out = # output of your network") == [(("handmade-network",), "out")]


def test_a_network_in_a_plain_class_leaves_its_output():
    tensor = {"name": "out", "kind": "tensor", "shape": [64, 10], "line": 9, "cell": None}
    plain = {
        "name": "Network",
        "kind": "class",
        "module": False,
        "methods": ["__init__", "forward"],
        "line": 1,
        "cell": None,
    }
    assert [one.exercises for one in candidates([plain, tensor], EXERCISES)] == [("handmade-network",)]
    assert [one.name for one in candidates([{**plain, "module": True}, tensor], EXERCISES)] == ["Network"]
