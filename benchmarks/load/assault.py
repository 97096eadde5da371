"""Attack a server of this machine, and hold what it says to what it may say."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from benchmarks.load import bombs, documents, wire
from benchmarks.load.attacks import ANYTHING, CUT, REFUSED, Attack
from benchmarks.load.clients import PATIENCE, REFUSALS, unexplained
from benchmarks.load.connections import Address, Answer, Connection, LostError, answer_to, connected
from benchmarks.load.questions import Known, Question

_FAMILIES = (*documents.FAMILIES, *wire.FAMILIES)
# One attack in so many is costly.
_BOMBS = 250
# What an answer must not tell of the machine and of the program behind it.
_INSIDES = (b"Traceback", b"site-packages", b"tensor(", b"/usr/", b'.py"', b"root:x:", b"object at 0x")
_MOST_KINDS = 60


def drawn(known: Known, seed: int = 0) -> Iterator[Attack]:
    """Yield attacks without end, from each family in turn; the same ones for the same seed."""
    random_ = random.Random(seed)
    while True:
        for family in _FAMILIES:
            yield family(known, random_)
        if random_.random() < len(_FAMILIES) / _BOMBS:
            yield bombs.drawn(known, random_)


@dataclass
class Damage:
    """What became of the attacks, and what should not have become of them."""

    sent: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    # A description of each kind of fault, and how often it came; of each one example.
    faults: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    asked_after: int = 0

    def count(self, attack: Attack, outcome: str, fault: str, received: bytes = b"") -> None:
        """Count what became of one attack."""
        self.sent += 1
        self.outcomes[outcome] += 1
        self.families[attack.family] += 1
        if fault:
            self.blame(f"{attack.family}, {attack.name}: {fault}", f"{attack.request[:300]!r} -> {received[:200]!r}")

    def blame(self, fault: str, example: str) -> None:
        """Count a fault; of many kinds only the first ones are told apart."""
        kind = fault if fault in self.faults or len(self.faults) < _MOST_KINDS else "others"
        self.faults[kind] += 1
        self.examples.setdefault(kind, example)

    @property
    def words(self) -> str:
        """The faults in a few words."""
        return f"{self.faults.total():,} of {len(self.faults)} kinds" if self.faults else "none"

    def __str__(self) -> str:
        outcomes = ", ".join(f"{count:,} × {outcome}" for outcome, count in sorted(self.outcomes.items()))
        faults = "".join(f"\n  {n} × {fault}\n    {self.examples[fault]}" for fault, n in self.faults.most_common())
        return f"{self.sent:,} attacks: {outcomes}; {self.asked_after:,} right answers between them{faults}"


async def assault(
    address: Address,
    attacks: Iterator[Attack],
    questions: Iterator[Question],
    count: int,
    damage: Damage,
    workers: int = 16,
) -> None:
    """Send so many attacks from some connections at once; now and then, and at the end, ask what has a known answer."""
    left = iter(range(count))

    async def worker() -> None:
        connection: Connection | None = None
        for place in left:
            attack = next(attacks)
            if connection is None or connection.closed or connection.stray or not _keeps(attack):
                _drop(connection)
                connection = await connected(address)
            await _sent(connection, attack, damage)
            if not _keeps(attack):
                _drop(connection)
                connection = None
            if place % 100 == 0:
                await _ask(address, next(questions), damage)
        _drop(connection)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())
    for _ in range(workers):
        await _ask(address, next(questions), damage)


def _keeps(attack: Attack) -> bool:
    """Whether the connection should be as good as before when the attack is answered."""
    return attack.outcome == REFUSED and not attack.half_close


def _drop(connection: Connection | None) -> None:
    if connection is not None:
        connection.transport.abort()


async def _sent(connection: Connection, attack: Attack, damage: Damage) -> None:
    asked = asyncio.ensure_future(connection.ask(attack.request))
    await asyncio.sleep(0)
    if attack.half_close and not connection.closed:
        connection.transport.write_eof()
    try:
        answer = await asyncio.wait_for(asked, PATIENCE)
    except LostError:
        damage.count(attack, "closed", "closed without an answer" if attack.outcome == REFUSED else "")
    except TimeoutError:
        damage.count(attack, "silence", f"no answer and no end within {PATIENCE:g} s")
        connection.transport.abort()
    else:
        damage.count(attack, str(answer.status), fault(attack, answer), answer.body)


def fault(attack: Attack, answer: Answer) -> str:
    """Return what is wrong with the answer to an attack, the empty text for nothing."""
    told = next((inside for inside in _INSIDES if inside in answer.body and inside not in attack.request), None)
    if told is not None:
        return f"{answer.status} tells {told!r}"
    if answer.status in REFUSALS:
        return unexplained(answer)
    if answer.status >= 500:
        return f"{answer.status}"
    if attack.outcome == ANYTHING:
        return ""
    if answer.status < 300:
        return f"taken: {answer.status}"
    return "" if attack.outcome == CUT else unexplained(answer)


async def _ask(address: Address, question: Question, damage: Damage) -> None:
    """Ask something in order, on a connection of its own: it must be answered, and rightly."""
    what = f"a {question.kind} in order"
    try:
        answer = await answer_to(address, question.request, PATIENCE)
    except (OSError, LostError) as error:  # a TimeoutError is an OSError
        damage.blame(f"{what}: {type(error).__name__}", str(error))
        return
    if answer.status != 200:
        damage.blame(f"{what}: {answer.status}", f"{answer.body[:200]!r}")
    elif wrong := question.wrong(answer):
        damage.blame(f"{what}: wrong", wrong)
    else:
        damage.asked_after += 1
