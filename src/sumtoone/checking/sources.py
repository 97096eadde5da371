"""From paths to submissions: files, notebooks, folders and zips of hundreds, read and never run."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from sumtoone.checking import archives
from sumtoone.checking.definitions import is_placeholder
from sumtoone.checking.magics import Aside, without_magics
from sumtoone.checking.notebooks import Unreadable, code_cells
from sumtoone.checking.repairs import repairs_in
from sumtoone.checking.syntax import Cell, attempt, decoded, parsed
from sumtoone.checking.verdict import Finding
from sumtoone.data import limits
from sumtoone.errors import DataError
from sumtoone.language.display import printable
from sumtoone.storage import read_regular

MOST_SCRIPT = 2**20
MOST_NOTEBOOK = 32 * 2**20
MOST_SUBMISSIONS = 20_000
_MOST_ENTRIES, _DEEPEST = 500_000, 64
_KINDS = {".py": "script", ".ipynb": "notebook"}
_LEFT_OUT = ("__pycache__", "__MACOSX", "node_modules", "site-packages", "venv", "env")
# What stands beside submissions in a course's folder and is none.
_NO_SUBMISSIONS = ("__init__.py", "conftest.py", "setup.py", "helper.py", "fc_model.py")
_LONGEST_PATH = 5_000


@dataclass(frozen=True)
class Found:
    """A submission that has been found and not read yet; ``problem`` says why it cannot be."""

    path: str
    kind: str
    place: Path | archives.Member
    problem: Finding | None = None


@dataclass(frozen=True)
class Submission:
    """What a learner handed in, as code that can be run.

    Parameters
    ----------
    path
        As it was named; inside a zip ``archive.zip/folder/file.py``; printable.
    cells
        The code in order; cells of a notebook that are no Python, or empty, are left out.
    broken
        The cells that are no Python.
    source
        The whole text, for reports.
    set_aside
        What is never run, and why.
    problem
        Why nothing can be run; None where something can.
    flaws
        What is wrong with each of the cells that are no Python.
    repairs
        Cells of the lesson that broke with today's libraries, recognised by their text.
    digest
        SHA-256 of the content.
    """

    path: str
    cells: tuple[Cell, ...] = ()
    broken: tuple[Cell, ...] = ()
    source: str = ""
    set_aside: tuple[Aside, ...] = ()
    problem: Finding | None = None
    flaws: tuple[Finding, ...] = ()
    repairs: tuple[Finding, ...] = ()
    digest: str = ""


def gather(paths: Sequence[str | Path]) -> list[Found]:
    """Return the submissions that paths lead to, each once, in the order of paths and names.

    A folder is searched through, hidden folders and environments left out; links do not lead out of it.

    Raises
    ------
    DataError
        If a path leads nowhere or to something of another kind, may not be read, is a damaged zip, or there are too
        many submissions.
    """
    found: dict[tuple[object, str], Found] = {}
    for path in map(Path, paths):
        with limits.reached(path):
            mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            each = _in_folder(path)
        elif not stat.S_ISREG(mode):
            with limits.open_regular(path):
                raise AssertionError("opened something that is no file")
        elif path.suffix.lower() == ".zip":
            each = _in_archive(path, named=True)
        elif path.suffix.lower() in _KINDS:
            with limits.reached(path):
                path.open("rb").close()
            each = iter([_found(path)])
        else:
            raise DataError("check-kind", path=path)
        for one in each:
            file = one.place if isinstance(one.place, Path) else one.place.archive
            found.setdefault((os.path.realpath(file), "" if one.place is file else one.path), one)
            if len(found) > MOST_SUBMISSIONS:
                raise DataError("check-large", path=path, limit=MOST_SUBMISSIONS)
    return list(found.values())


def read(found: Found) -> Submission:
    """Return a submission's code; whatever is wrong with it is its ``problem``, never an error."""
    path = found.path
    if found.problem is not None:
        return Submission(path, problem=found.problem, digest=_digest(found, repr(found.place).encode()))
    most = MOST_SCRIPT if found.kind == "script" else MOST_NOTEBOOK
    try:
        if isinstance(found.place, archives.Member):
            content = archives.content_of(found.place, most)
        else:
            content = read_regular(found.place, most)
    except OSError as error:
        return Submission(path, problem=_problem("file-unreadable", error.strerror or type(error).__name__))
    except ValueError as error:
        if isinstance(found.place, Path) and not found.place.is_file():
            return Submission(path, problem=_problem("file-unreadable", error))
        return Submission(path, problem=_problem("file-large", error, limit=f"{most >> 20} MiB"))
    except archives.Damaged as error:
        return Submission(path, problem=_problem("file-damaged", error))
    made = _script(path, content) if found.kind == "script" else _notebook(path, content)
    return replace(made, digest=_digest(found, content), repairs=repairs_in((*made.cells, *made.broken)))


def from_text(source: str, path: str = "-") -> Submission:
    """Return a text of Python as a submission; magics of a notebook's cell are set aside."""
    made = _script(path, source.encode("utf-8", "backslashreplace"))
    digest = hashlib.sha256(b"text\0" + source.encode("utf-8", "backslashreplace")).hexdigest()
    return replace(made, digest=digest, repairs=repairs_in((*made.cells, *made.broken)))


def _digest(found: Found, content: bytes) -> str:
    return hashlib.sha256(found.kind.encode() + b"\0" + content).hexdigest()


def _problem(code: str, what: object = "", **fields: object) -> Finding:
    return Finding(code, fields={"what": printable(what), **fields})


# --- reading


def _script(path: str, content: bytes) -> Submission:
    try:
        source = decoded(content)
    except SyntaxError as error:
        shown = content.decode("utf-8", errors="replace")
        return Submission(path, source=shown, problem=_flaw(error, Cell(None, shown)))
    cell, asides = Cell(None, source), tuple[Aside, ...]()
    if attempt(source) is None:
        # A notebook's magics, copied into a file, are not worth the verdict.
        plain, taken = without_magics(source)
        if taken and attempt(plain) is not None:
            cell, asides = Cell(None, plain), taken
    return _checked(Submission(path, (cell,), source=source, set_aside=asides))


def _notebook(path: str, content: bytes) -> Submission:
    try:
        cells = code_cells(content)
    except Unreadable as error:
        if error.limit:
            return Submission(path, problem=_problem("file-large", limit=error.limit))
        return Submission(path, problem=_problem("file-damaged", error.what))
    blocks: list[str] = []
    plain: list[Cell] = []
    asides: list[Aside] = []
    first = 1
    for cell in cells:
        text, taken = without_magics(cell.source, cell.number)
        # Behind the heading of the cell.
        plain.append(replace(cell, source=text, first_line=first + 1))
        if cell.source.strip():
            blocks.append(f"# cell {cell.number}\n{cell.source}\n")
            first += blocks[-1].count("\n") + 1
        asides.extend(taken)
    return _checked(
        Submission(path, tuple(plain), source="\n".join(blocks).removesuffix("\n"), set_aside=tuple(asides))
    )


def _checked(submission: Submission) -> Submission:
    """Part the cells that are Python from those that are not."""
    good, broken, flaws = [], [], []
    for cell in submission.cells:
        try:
            if parsed(cell.source).body:
                good.append(cell)
        except SyntaxError as error:
            broken.append(cell)
            flaws.append(_flaw(error, cell))
    problem = None if good else flaws[0] if flaws else _problem("not-found")
    asides = [Aside(flaw.code, flaw.line or 1, flaw.cell, str(flaw.fields["error"])) for flaw in flaws]
    return replace(
        submission,
        cells=tuple(good),
        broken=tuple(broken),
        flaws=tuple(flaws),
        problem=problem,
        set_aside=(*submission.set_aside, *asides),
    )


def _flaw(error: SyntaxError, cell: Cell) -> Finding:
    """Return what a syntax error says; a place that was left for the learner's own code is none."""
    lines = cell.lines
    line = min(max(error.lineno or 1, 1), len(lines))
    code = "template" if is_placeholder(error.msg, lines, line) else "syntax-error"
    what = lines[line - 1].strip()
    return Finding(code, line, cell.number, {"error": printable(error.msg, 200), "what": printable(what, 200)})


# --- finding


def _found(path: Path, problem: Finding | None = None) -> Found:
    return Found(printable(path, _LONGEST_PATH), _KINDS.get(path.suffix.lower(), "archive"), path, problem)


def _in_folder(folder: Path) -> Iterator[Found]:
    root, seen = Path(os.path.realpath(folder)), 0
    paths: list[tuple[Path, Finding | None]] = []
    waiting = [(folder, 0)]
    while waiting:
        here, depth = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except OSError as error:
            if here == folder:
                with limits.reached(folder):
                    raise
            paths.append((here, _problem("file-unreadable", error.strerror)))
            continue
        seen += len(entries)
        if seen > _MOST_ENTRIES or depth > _DEEPEST:
            raise DataError("check-large", path=folder, limit=MOST_SUBMISSIONS)
        if depth and any(entry.name == "pyvenv.cfg" for entry in entries):
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _LEFT_OUT:
                    waiting.append((here / entry.name, depth + 1))
            elif _may_be_one(entry.name) and not (entry.is_symlink() and not _is_inside(here / entry.name, root)):
                paths.append((here / entry.name, None))
    for path, problem in sorted(paths, key=lambda pair: pair[0].parts):
        if problem is None and path.suffix.lower() == ".zip":
            yield from _in_archive(path)
        else:
            yield _found(path, problem)


def _may_be_one(name: str) -> bool:
    suffix = PurePosixPath(name).suffix.lower()
    return (suffix in _KINDS or suffix == ".zip") and not name.startswith(".") and name not in _NO_SUBMISSIONS


def _is_inside(link: Path, root: Path) -> bool:
    target = Path(os.path.realpath(link))
    return target.is_file() and target.is_relative_to(root)


def _in_archive(path: Path, named: bool = False) -> Iterator[Found]:
    """Yield what a zip holds; one that cannot be read is an error where it was named, else a row of its own."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise archives.Damaged("no regular file")
        inside = archives.members(path)
    except (OSError, archives.Damaged) as error:
        if named and isinstance(error, OSError):
            with limits.reached(path):
                raise
        if named:
            raise DataError("check-archive", given=f"{path}: {error}") from None
        yield _found(path, _problem("file-damaged", error))
        return
    names: dict[str, int] = {}
    for member in inside:
        *folders, name = PurePosixPath(member.name.replace("\\", "/")).parts or ("",)
        hidden = any(part in _LEFT_OUT or (part.startswith(".") and part != "..") for part in folders)
        if hidden or not _may_be_one(name):
            continue
        count = names[member.name] = names.get(member.name, 0) + 1
        shown = f"{path}/{member.name}" + (f"#{count}" if count > 1 else "")
        kind = _KINDS.get(PurePosixPath(name).suffix.lower(), "archive")
        yield Found(printable(shown, _LONGEST_PATH), kind, member, _refusal(member, kind, count))


def _refusal(member: archives.Member, kind: str, count: int) -> Finding | None:
    if kind == "archive":
        return _problem("file-archive")
    if member.encrypted:
        return _problem("file-encrypted")
    return None if member.safe and count == 1 else _problem("file-name", member.name)
