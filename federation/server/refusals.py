"""Tells the operator what was refused of what other servers sent: of each event once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from homeserver.core.pdu_verdicts import Dropped, Rejected, SoftFailed, Verdict
from homeserver.rooms.ingest import Postponed
from homeserver.runtime.observation import Level, Observation, Observer
from storage.cache import LruCache

__all__ = ["EduRefused", "PduPostponed", "PduRefused", "PduSoftFailed", "Refusals"]

REMEMBERED_MAX = 10_000


@dataclass(frozen=True, slots=True)
class EduRefused(Observation):
    """Something ephemeral that another server sent is not what it should be, and counts for nothing."""

    level: ClassVar[Level] = Level.DEBUG
    origin: str
    edu_type: str
    reason: str


@dataclass(frozen=True, slots=True)
class PduPostponed(Observation):
    """An event cannot be placed yet, since nobody tells what was before it; it is tried again."""

    level: ClassVar[Level] = Level.DEBUG
    origin: str
    room_id: str
    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PduRefused(Observation):
    """An event that another server sent was refused."""

    origin: str
    room_id: str
    event_id: str
    reason: str


@dataclass(frozen=True, slots=True)
class PduSoftFailed(Observation):
    """An event of another server is valid where it stands, but not as the room is now: nobody sees it."""

    level: ClassVar[Level] = Level.DEBUG
    origin: str
    room_id: str
    event_id: str
    reason: str


_KINDS: dict[type, type[PduPostponed | PduRefused | PduSoftFailed]] = {
    Dropped: PduRefused, Rejected: PduRefused, SoftFailed: PduSoftFailed, Postponed: PduPostponed,
}  # fmt: skip


class Refusals:
    """Tells of each refusal once.

    Args:
        observer: hears of them.
    """

    def __init__(self, observer: Observer) -> None:
        self._observer = observer
        self._told: LruCache[tuple[str, str, type], bool] = LruCache(REMEMBERED_MAX)

    def note(self, origin: str, room_id: str, outcomes: Mapping[str, Verdict | Postponed | None]) -> None:
        """Tell of those events that were refused."""
        for event_id, outcome in outcomes.items():
            kind = _KINDS.get(type(outcome))
            if kind is None or not isinstance(outcome, Dropped | Rejected | SoftFailed | Postponed):
                continue
            key = (origin, event_id or outcome.reason, kind)
            if key not in self._told:
                self._told.put(key, True)  # noqa: FBT003 - a set of a bounded size
                self._observer(kind(origin, room_id, event_id, outcome.reason))

    def note_edu(self, origin: str, edu_type: str, reason: str) -> None:
        """Tell that something ephemeral was refused."""
        self._observer(EduRefused(origin, edu_type, reason))
