"""Verdicts as texts that other programs read: one small file for each format, one table of them.

Every writer is a pure function of verdicts and circumstances; whatever a learner wrote, named or printed stays text in
every format: no markup, no formula, no command, no letter that XML, UTF-8 or a terminal cannot carry.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sumtoone.checking.writers.circumstances import Circumstances as Circumstances
from sumtoone.checking.writers.circumstances import Writer as Writer
from sumtoone.checking.writers.classroom50 import classroom50
from sumtoone.checking.writers.coderunner import coderunner
from sumtoone.checking.writers.ctrf import ctrf
from sumtoone.checking.writers.document import document
from sumtoone.checking.writers.github import commands, summary
from sumtoone.checking.writers.gradescope import gradescope
from sumtoone.checking.writers.junit import junit
from sumtoone.checking.writers.report import report
from sumtoone.checking.writers.rows import rows

# The name of an option of `sumtoone check` -> what writes it; `github-summary` goes to the file that the runner names.
WRITERS: Mapping[str, Writer] = MappingProxyType(
    {
        "json": document,
        "csv": rows,
        "junit": junit,
        "gradescope": gradescope,
        "classroom50": classroom50,
        "ctrf": ctrf,
        "coderunner": coderunner,
        "github": commands,
        "github-summary": summary,
        "report": report,
    }
)

__all__ = ["WRITERS", "Circumstances", "Writer"]
