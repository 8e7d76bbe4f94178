"""What comes of the checks on receipt of a PDU.

Spec: https://spec.matrix.org/v1.19/server-server-api/#checks-performed-on-receipt-of-a-pdu
"""

from dataclasses import dataclass

from homeserver.core.event.pdu import Event

__all__ = ["Accepted", "Dropped", "Rejected", "SoftFailed", "Verdict"]


@dataclass(frozen=True, slots=True)
class Dropped:
    """It is no event of the room at all: forget that it came.

    Attributes:
        reason: a sentence.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """It is in the graph but never in any state, and clients never see it.

    Attributes:
        event: the event.
        reason: a sentence.
    """

    event: Event
    reason: str


@dataclass(frozen=True, slots=True)
class SoftFailed:
    """It is valid where it stands, but not now: clients do not see it, and none of our events follows it.

    Attributes:
        event: the event.
        reason: a sentence.
    """

    event: Event
    reason: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """It has passed all checks.

    Attributes:
        event: the event.
    """

    event: Event


Verdict = Dropped | Rejected | SoftFailed | Accepted
