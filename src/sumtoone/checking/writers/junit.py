"""``check --junit``: JUnit's XML as Apache Ant writes it and Jenkins, GitLab and others read it.

Schema: https://github.com/windyroad/JUnit-Schema/blob/master/JUnit.xsd
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC
from itertools import groupby
from xml.etree import ElementTree as Tree

from sumtoone.checking.verdict import Verdict
from sumtoone.checking.writers.circumstances import Circumstances, exercise_of, lines, one_line, said, spoken


def junit(verdicts: Sequence[Verdict], circumstances: Circumstances) -> str:
    """Return an XML document with a test suite for each submission and a test case for each of its exercises."""
    root = Tree.Element("testsuites")
    for number, (path, group) in enumerate(groupby(verdicts, key=lambda verdict: verdict.path)):
        _suite(root, number, one_line(path).strip() or "-", list(group), circumstances)
    Tree.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{Tree.tostring(root, encoding="unicode")}\n'


def _suite(
    root: Tree.Element, number: int, path: str, verdicts: Sequence[Verdict], circumstances: Circumstances
) -> None:
    suite = Tree.SubElement(
        root,
        "testsuite",
        name=path,
        package="sumtoone",
        id=str(number),
        timestamp=f"{circumstances.started.astimezone(UTC):%Y-%m-%dT%H:%M:%S}",
        hostname="localhost",
        tests=str(len(verdicts)),
        failures=str(sum(not verdict.passed for verdict in verdicts)),
        errors="0",
        time=f"{sum(verdict.seconds for verdict in verdicts):.3f}",
    )
    properties = Tree.SubElement(suite, "properties")
    Tree.SubElement(properties, "property", name="isolation", value=circumstances.isolation)
    for verdict in verdicts:
        case = Tree.SubElement(
            suite, "testcase", name=exercise_of(verdict), classname=path, time=f"{verdict.seconds:.3f}"
        )
        if not verdict.passed:
            failure = Tree.SubElement(case, "failure", message=" ".join(said(verdict).split()), type=verdict.code)
            failure.text = spoken(verdict)
    printed = [lines(verdict.printed) for verdict in verdicts if verdict.printed]
    Tree.SubElement(suite, "system-out").text = "\n".join(printed)
    Tree.SubElement(suite, "system-err").text = ""
