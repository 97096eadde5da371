"""The lesson's notebooks: one source, two languages, the same code, and every cell runs."""

from __future__ import annotations

import ast
import asyncio
import importlib.util
import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import sumtoone as s1
from sumtoone.language import speaking

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"

_SPECIFICATION = importlib.util.spec_from_file_location("notebooks_build", NOTEBOOKS / "build.py")
assert _SPECIFICATION is not None
assert _SPECIFICATION.loader is not None
build = importlib.util.module_from_spec(_SPECIFICATION)
_SPECIFICATION.loader.exec_module(build)


def _committed(language: str) -> Any:
    return nbformat.read(build.path(language), as_version=4)


def _cell(notebook: Any, name: str) -> Any:
    return next(cell for cell in notebook.cells if cell.id == name)


def _printed(cell: Any) -> str:
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def _code(cell: Any) -> ast.Module:
    """The cell's program: without magics, and with all strings alike. Comments are no part of it."""
    tree = ast.parse("".join(line for line in cell.source.splitlines(keepends=True) if not line.startswith("%")))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return tree


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Both notebooks, run in real kernels side by side, which see nothing of this machine's own settings."""
    home = tmp_path_factory.mktemp("home")
    surroundings = {
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_CONFIG_DIR": str(home / "config"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "MPLCONFIGDIR": str(home / "matplotlib"),
        "SUMTOONE_CACHE": str(home / "cache"),
        "SUMTOONE_OFFLINE": "1",
        "LANG": "C.UTF-8",
        # Where tqdm is installed, it complains about widgets that a notebook may lack.
        "PYTHONWARNINGS": "ignore:IProgress not found",
    }
    (home / "work").mkdir()

    async def execute() -> list[Any]:
        resources = {"metadata": {"path": str(home / "work")}}
        clients = [NotebookClient(_committed(each), timeout=120, resources=resources) for each in build.LANGUAGES]
        return await asyncio.gather(*(client.async_execute() for client in clients))

    with pytest.MonkeyPatch.context() as patch:
        for name, value in surroundings.items():
            patch.setenv(name, value)
        patch.delenv("SUMTOONE_LANG", raising=False)
        notebooks = asyncio.run(execute())
    assert list((home / "work").iterdir()) == []
    return dict(zip(build.LANGUAGES, notebooks, strict=True))


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_committed_notebooks_are_what_the_source_makes(language: str) -> None:
    assert build.path(language).read_text(encoding="utf-8") == build.rendered(language), "run: make notebooks"


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_notebooks_are_valid_and_without_outputs(language: str) -> None:
    notebook = _committed(language)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert all(cell.outputs == [] and cell.execution_count is None for cell in notebook.cells if "outputs" in cell)


def test_both_languages_have_the_same_cells_and_the_same_code() -> None:
    english, korean = (_committed(language).cells for language in ("en", "ko"))
    assert [(cell.id, cell.cell_type, cell.metadata) for cell in english] == [
        (cell.id, cell.cell_type, cell.metadata) for cell in korean
    ]
    for ours, theirs in zip(english, korean, strict=True):
        if ours.cell_type == "code":
            assert ast.dump(_code(ours)) == ast.dump(_code(theirs)), ours.id


def test_both_languages_have_the_same_headings_and_snippets() -> None:
    """Headings of the same levels, the same list items and formulas, and in Korean every text in Korean."""
    for ours, theirs in zip(_committed("en").cells, _committed("ko").cells, strict=True):
        if ours.cell_type != "markdown":
            continue
        assert re.search("[가-힣]", theirs.source), theirs.id
        assert not re.search("[가-힣]", ours.source), ours.id
        for pattern in (r"^#+ ", r"^- |^\d\. ", r"\$\$.*\$\$", r"<\w+>", r"`[^`]+`"):
            found = [sorted(re.findall(pattern, cell.source, re.M)) for cell in (ours, theirs)]
            assert found[0] == found[1], ours.id


def test_no_words_are_left_unfilled_or_unused() -> None:
    source = (NOTEBOOKS / "source.toml").read_text(encoding="utf-8")
    for language in build.LANGUAGES:
        assert "«" not in build.path(language).read_text(encoding="utf-8")
        given = re.findall(rf"^{language}\.(\w+) =", source, re.M)
        assert sorted(given) == sorted(re.findall(r"«(\w+)»", source))


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_every_cell_runs_and_only_the_exercise_fails(executed: dict[str, Any], language: str) -> None:
    for cell in executed[language].cells:
        for output in cell.get("outputs", []):
            assert output.get("name") != "stderr", f"{cell.id}: {output.get('text')}"
            assert output.output_type != "error" or "exercise" in cell.metadata.tags, cell.id
    error = _cell(executed[language], "exercise-code").outputs[0]
    assert error.ename == "UsageError"
    with speaking(language):
        assert error.evalue == str(s1.UsageError("module-no-parameters", given="MyNetwork"))


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_the_cells_show_what_their_texts_promise(executed: dict[str, Any], language: str) -> None:
    notebook = executed[language]
    assert "tensor([0.7054, 0.2595, 0.0351])" in _printed(_cell(notebook, "softmax-steps"))
    assert "torch.Size([64, 784]) -1.0 1.0" in _printed(_cell(notebook, "data-batch"))
    refusal = "The size of tensor a (10) must match the size of tensor b (64) at non-singleton dimension 1\n"
    assert _printed(_cell(notebook, "column-fails")) == refusal
    with speaking(language):
        assert _printed(_cell(notebook, "column-explained")) == f"{s1.explain('a / b', a=(64, 10), b=(64,))}\n"
        assert _printed(_cell(notebook, "square-code")).endswith(f"{s1.explain('a / b', a=(10, 10), b=(10,))}\n")
    assert "a / b.view(64, 1)" in _printed(_cell(notebook, "column-explained"))
    assert "torch.Size([10, 10]) torch.Size([10, 10])" in _printed(_cell(notebook, "square-code"))
    registered = "cannot assign module before Module.__init__() call\nlist: 0\nnn.ModuleList: 4\n"
    assert _printed(_cell(notebook, "registered-code")) == registered
    assert _printed(_cell(notebook, "equal-code")) == "True\nTrue\nTrue\n"
    assert re.findall("True|False", _printed(_cell(notebook, "linear-code"))) == ["True", "False"]
    assert _cell(notebook, "solution").outputs[0].data["text/plain"] == "True"
    overflow = "tensor([[nan, 0.]])\ntensor([[1., 0.]])\ntensor([[1., 0.]])\n"
    assert _printed(_cell(notebook, "overflow-code")) == overflow
    logarithm = "tensor([[0., -inf]])\ntensor([[   0., -200.]])\ntensor(200.)\n"
    assert _printed(_cell(notebook, "logarithm-code")) == logarithm
    assert re.findall(r"[\d.]+%? ?", _printed(_cell(notebook, "twice-code"))) == ["100% ", "0.00", "23% ", "1.46"]


@pytest.mark.parametrize("language", build.LANGUAGES)
def test_training_lowers_the_loss_and_pictures_are_shown_once(executed: dict[str, Any], language: str) -> None:
    notebook = executed[language]
    losses = [float(line.split()[1]) for line in _printed(_cell(notebook, "training-loop")).splitlines()]
    assert len(losses) == 3
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5
    assert float(_printed(_cell(notebook, "evaluate")).rstrip("%\n")) > 90
    drawn = [
        cell.id
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert drawn == [
        "data-look",
        "by-hand-shapes",
        "activations-plot",
        "untrained-code",
        "fit-code",
        "predictions-code",
        "evaluate",
    ]


def test_the_solution_fills_the_exercise() -> None:
    notebook = _committed("en")
    exercise, solution = _cell(notebook, "exercise-code"), _cell(notebook, "solution")
    assert solution.metadata.jupyter.source_hidden
    for name, cell in (("MyNetwork", exercise), ("Solution", solution)):
        last = f'helper.test_network({name}(), loader, exercise="relu-network")'
        assert cell.source.splitlines()[-1] == last
        assert cell.source.count(name) == 2
