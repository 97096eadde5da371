"""What schemathesis makes of the server's OpenAPI document: requests that keep to it, and requests that break it."""

from __future__ import annotations

from contextlib import nullcontext, suppress
from functools import partial
from typing import Any

from benchmarks.load import assault, clients, connections, questions
from benchmarks.load.assault import Damage
from benchmarks.load.attacks import ANYTHING, Attack
from benchmarks.load.parts import Subject, Verdict, well


def explored(subject: Subject, examples: int, seed: int = 0) -> list[Verdict]:
    """Ask so many requests of each kind for each operation, then what has a known answer."""
    import requests
    from hypothesis.errors import Unsatisfiable
    from schemathesis import GenerationMode, openapi

    damage = Damage()
    with subject.served() as it, requests.Session() as session:
        base = f"http://{it.address.host}:{it.address.port}"
        document = session.get(f"{base}/openapi.json", timeout=clients.PATIENCE).json()
        operations: list[Any] = [found.ok() for found in openapi.from_dict(document).get_all_operations()]  # type: ignore[union-attr]
        for number, operation in enumerate(operations):
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                # A name that was drawn leads nowhere: what keeps to the document asks for what is there.
                known = {"model": subject.known.model, "version": "1"} if mode is GenerationMode.POSITIVE else {}
                there = {name: value for name, value in known.items() if f"{{{name}}}" in operation.path}
                cases = operation.as_strategy(generation_mode=mode, path_parameters=there or None)
                attack = Attack(f"{operation.method.upper()} {operation.path}", mode.value, b"", ANYTHING)
                ask = partial(_ask, base=base, session=session, attack=attack, damage=damage)
                # There are operations without anything that could be wrong; each has something right.
                with suppress(Unsatisfiable) if mode is GenerationMode.NEGATIVE else nullcontext():
                    _each(cases, examples, seed + number, ask)
        attacks, some = assault.drawn(subject.known, seed), questions.mixed(subject.known, seed)
        connections.run(assault.assault(it.address, attacks, some, 0, damage))
        subject.say(f"schemathesis, {len(operations)} operations: {damage}")
        what = f"{damage.sent:,} requests of schemathesis to {len(operations)} operations: faults"
        return [
            Verdict(what, "none", damage.words, not damage.faults and damage.outcomes["200"] > 0),
            *well(it, "schemathesis"),
        ]


def _each(cases: Any, examples: int, seed: int, act: Any) -> None:
    import hypothesis

    quiet = list(hypothesis.HealthCheck)

    @hypothesis.seed(seed)
    @hypothesis.settings(max_examples=examples, database=None, deadline=None, suppress_health_check=quiet)
    @hypothesis.given(cases)
    def law(case: Any) -> None:
        act(case)

    law()


def _ask(case: Any, base: str, session: Any, attack: Attack, damage: Damage) -> None:
    import requests
    from schemathesis.core.failures import Failure, FailureGroup

    try:
        response = case.call(base_url=base, session=session, timeout=clients.PATIENCE)
    except requests.RequestException as error:
        damage.count(attack, "no answer", type(error).__name__)
        return
    headers = {name.lower().encode(): value[0].encode() for name, value in response.headers.items()}
    answer = connections.Answer(response.status_code, headers, response.content)
    damage.count(attack, str(response.status_code), assault.fault(attack, answer), answer.body)
    if response.status_code >= 500:
        return
    try:
        case.validate_response(response, checks=_checks())
    except FailureGroup as group:
        for failure in group.exceptions:
            damage.blame(f"{attack.family}, {attack.name}: {failure.title}", _example(failure, case))
    except Failure as failure:
        damage.blame(f"{attack.family}, {attack.name}: {failure.title}", _example(failure, case))


def _example(failure: Any, case: Any) -> str:
    return f"{failure.message} for {case.as_curl_command()}"[:600]


def _checks() -> list[Any]:
    """Return what holds an answer against the document: its status, its type, its fields."""
    from schemathesis.specs.openapi import checks

    return [checks.status_code_conformance, checks.content_type_conformance, checks.response_schema_conformance]
