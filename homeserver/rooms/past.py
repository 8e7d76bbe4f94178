"""What reads of timelines need to go on beyond the first event that is here.

`homeserver.rooms.backfill` has it; a server that speaks with no other has no past but what is here.
"""

from collections.abc import Coroutine
from enum import Enum
from typing import Any, Literal, Protocol

__all__ = ["NoOlderHistory", "OlderHistory", "Past"]


class Past(Enum):
    """What there is before the first event that is here."""

    NOTHING = "nothing"
    MORE = "more"
    """More of it is here now."""
    OUT_OF_REACH = "out of reach"
    """There is more, which nobody tells just now."""


class OlderHistory(Protocol):
    """Has more of the past of rooms come here."""

    def fetch(self, room_id: str) -> Coroutine[Any, Any, Past]:
        """Have more of it here, if there is any."""

    def find(
        self, room_id: str, ts_ms: int, direction: Literal["f", "b"]
    ) -> Coroutine[Any, Any, str | None]:
        """Have the event here that is closest to a time before all that is here; None: nobody knows one."""


class NoOlderHistory:
    """All there is is here."""

    async def fetch(self, room_id: str) -> Past:
        """Say so."""
        del room_id
        return Past.NOTHING

    async def find(self, room_id: str, ts_ms: int, direction: Literal["f", "b"]) -> None:
        """Find none."""
        del room_id, ts_ms, direction
