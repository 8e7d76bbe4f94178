"""What can be asked of a room."""

from dataclasses import dataclass
from typing import Any

from homeserver.core.requester import Requester

__all__ = ["Draft", "Origin"]


@dataclass(slots=True)
class Draft:
    """An event as its sender wants it; the room adds the rest.

    Attributes:
        type: event type.
        sender: user ID of ours.
        content: given away by whoever makes the draft.
        state_key: None for a message event.
        redacts: ID of the event that an `m.room.redaction` redacts.
        is_withheld: clients never see it; it only joins branches of the graph.
        sticky_ms: for how many milliseconds everybody in the room is to be told of it; None: not at all.
    """

    type: str
    sender: str
    content: dict[str, Any]
    state_key: str | None = None
    redacts: str | None = None
    is_withheld: bool = False
    sticky_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a command came from, so that a repetition of it is known.

    Attributes:
        requester: who asks.
        transaction_id: the client's, unique to the session and endpoint.
        target: ID of the event that is redacted, which is part of that endpoint's path.
        delayed_by: of a delayed event, whose ID is the transaction ID: the session that scheduled it.
    """

    requester: Requester
    transaction_id: str
    target: str = ""
    delayed_by: int | None = None

    def key(self, room_id: str, event_type: str) -> str:
        """The key that the transaction is stored under."""
        return f"{room_id}|{event_type}{self.target}|{self.transaction_id}"
