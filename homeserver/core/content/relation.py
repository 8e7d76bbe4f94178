"""The part of an event's content that relates it to another event: `m.relates_to`.

Spec: https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = [
    "ANNOTATION", "BUNDLED", "REFERENCE", "REPLACE", "THREAD", "Relation", "could_replace", "relation_of",
]  # fmt: skip

ANNOTATION: Final = "m.annotation"
REFERENCE: Final = "m.reference"
REPLACE: Final = "m.replace"
THREAD: Final = "m.thread"

BUNDLED: Final = frozenset((REFERENCE, REPLACE, THREAD))
"""What is told with the event that it points at."""

_BYTES_MAX = 255
_ENCRYPTED = "m.room.encrypted"


@dataclass(frozen=True, slots=True)
class Relation:
    """How an event relates to another one.

    Attributes:
        rel_type: the kind of relationship.
        event_id: ID of the event that is pointed at: the parent.
    """

    rel_type: str
    event_id: str


def relation_of(content: Mapping[str, Any]) -> Relation | None:
    """Read what content relates to; None if that is nothing, or nothing that is understood.

    Rich replies have no relationship type: they are none of these.
    """
    relates_to = content.get("m.relates_to")
    if not isinstance(relates_to, dict):
        return None
    rel_type, event_id = relates_to.get("rel_type"), relates_to.get("event_id")
    if not isinstance(rel_type, str) or not isinstance(event_id, str) or not event_id.startswith("$"):
        return None
    if not _is_short(rel_type) or not _is_short(event_id):
        return None
    return Relation(rel_type, event_id)


def could_replace(event_type: str, content: Mapping[str, Any]) -> bool:
    """Say whether an event with this content could take another one's place.

    What an encrypted event says outside of its ciphertext does not count, so what it holds is for clients
    to find out.
    """
    return event_type == _ENCRYPTED or isinstance(content.get("m.new_content"), dict)


def _is_short(text: str) -> bool:
    if not text or "\0" in text:
        return False
    try:
        return len(text.encode()) <= _BYTES_MAX
    except UnicodeEncodeError:  # a lone surrogate, which old room versions let in
        return False
