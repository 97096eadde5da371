"""What an attack is, and what may come of it."""

from __future__ import annotations

from dataclasses import dataclass

# Besides 429, 503 and 504: a refusal (4xx) with its reason; that, without one, or the end of the connection; or an
# answer too, for what a tolerant server may take.
REFUSED, CUT, ANYTHING = "refused", "cut", "anything"


@dataclass(frozen=True)
class Attack:
    """Bytes to send on a connection, which is then half closed where more was promised than comes."""

    family: str
    name: str
    request: bytes
    outcome: str = REFUSED
    half_close: bool = False
