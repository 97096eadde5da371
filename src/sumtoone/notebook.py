"""The magics of notebooks: ``%%check`` judges a cell and ``%explain`` explains the last error.

``%load_ext sumtoone`` brings both. A cell is judged in a confined process, and then run where the learner works; the
names of the lesson (``torch``, ``nn``, ``F``, ``images``) are there for it.

Notebooks of the older lesson take the next batch with ``dataiter.next()``, which PyTorch has given up. Nothing of
PyTorch is changed for them: the cell is read otherwise before it runs. Where torchvision is not installed, the little
that the lesson takes from it is here; where it is, it is left alone.
"""

from __future__ import annotations

import ast
import sys
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from sumtoone.errors import SumtooneError
from sumtoone.language import text

if TYPE_CHECKING:
    from sumtoone.checking.confinement import Nursery
    from sumtoone.checking.verdict import Verdict


class CheckMagic:
    """Judges cells, in one nursery that stays warm between them."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell
        self._nursery: Nursery | None = None
        self._open = ExitStack()

    def __call__(self, line: str, cell: str) -> None:
        """Judge a cell as the exercise that the line names, or as the one that it holds, and run it."""
        try:
            for verdict in self._judged(line.strip() or None, cell):
                print(_words(verdict))
        except SumtooneError as error:
            print(error)
        self._shell.run_cell(cell)

    def _judged(self, exercise: str | None, cell: str) -> list[Verdict]:
        from sumtoone.checking.confinement import Nursery
        from sumtoone.checking.exercises import find
        from sumtoone.checking.running import Settings, judged
        from sumtoone.checking.sources import from_text

        settings = Settings(find(exercise).name if exercise else None)
        if self._nursery is None:
            self._nursery = self._open.enter_context(Nursery(limits=settings.limits))
        return judged(self._nursery, from_text(cell), settings)

    def close(self) -> None:
        """End the nursery."""
        self._nursery = None
        self._open.close()


def _words(verdict: Verdict) -> str:
    word = text("cli.check.right" if verdict.passed else "cli.check.wrong")
    place = "" if verdict.line is None or verdict.passed else f" · {text('cli.check.line', line=verdict.line)}"
    hint = [f"{text('cli.check.hint')}: {verdict.hint}"] if verdict.hint else []
    notes = [f"{text('cli.check.note')} ({item.code}): {verdict.said(item)}" for item in verdict.remarks]
    return "\n".join([f"{verdict.exercise or '-'} · {word} ({verdict.code}){place}", verdict.text, *hint, *notes])


class ExplainMagic:
    """Explains the last error of a notebook, with the layer and the shapes that its frames still hold."""

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def __call__(self, line: str) -> None:
        """Print what the last error says, or that there was none."""
        error = getattr(sys, "last_exc", None) or getattr(sys, "last_value", None)
        if line.strip():
            print(text("cli.explain.alone"))
        elif error is None:
            print(text("cli.explain.no-last"))
        elif isinstance(error, SumtooneError):
            print(error)  # which says it all
        else:
            from sumtoone.adoption.failing import explained

            print(explained(error, place=self._place))

    def _place(self, file: str) -> str:
        """Return a cell's name for the file that IPython keeps it under, and any other file's own."""
        found = self._shell.compile.format_code_name(file)
        return file if found is None else str(found[1])


def load_ipython_extension(shell: Any) -> None:
    """Register ``%%check`` and ``%explain`` with a notebook's shell."""
    magic = CheckMagic(shell)
    shell.register_magic_function(magic, "cell", "check")
    shell.register_magic_function(ExplainMagic(shell), "line", "explain")
    shell.sumtoone_check = magic


def unload_ipython_extension(shell: Any) -> None:
    """End what :func:`load_ipython_extension` began."""
    shell.sumtoone_check.close()


class OldLesson(ast.NodeTransformer):
    """Reads ``x.next()`` as ``_following(x)``."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Return a call as it is meant."""
        self.generic_visit(node)
        called = node.func
        if not isinstance(called, ast.Attribute) or called.attr != "next" or node.args or node.keywords:
            return node
        return ast.copy_location(
            ast.Call(ast.copy_location(ast.Name("_following", ast.Load()), called), [called.value], []), node
        )


def following(iterator: Any) -> Any:
    """Return what an iterator gives next: its own ``next()`` where it has one, as of old."""
    return iterator.next() if hasattr(iterator, "next") else next(iterator)


def read_old_lesson(shell: Any) -> None:
    """Read the cells from here on as the older lesson means them, and say what stands for a missing torchvision."""
    read_as_written(shell)
    if find_spec("torchvision") is None:
        from sumtoone.data import old_lesson

        sys.modules.update(old_lesson.modules())
        print(text("notebook.torchvision"))
    shell.ast_transformers.append(OldLesson())
    shell.push({"_following": following}, interactive=False)


def read_as_written(shell: Any) -> None:
    """End what :func:`read_old_lesson` began."""
    for name in ("torchvision.datasets", "torchvision.transforms", "torchvision"):
        if _is_ours(sys.modules.get(name)):
            del sys.modules[name]
    shell.ast_transformers[:] = [each for each in shell.ast_transformers if not isinstance(each, OldLesson)]


def _is_ours(module: Any) -> bool:
    return getattr(getattr(module, "__spec__", None), "origin", None) == "sumtoone.data.old_lesson"
