"""The content of `m.room.create`: who made the room, and what cannot be changed about it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#mroomcreate
"""

from homeserver.core.event.pdu import Event

__all__ = ["creators_of", "is_federated", "predecessor_of", "room_type_of", "room_version_of"]

_FIRST_VERSION = "1"


def creators_of(create: Event) -> tuple[str, ...]:
    """Name the creators, the one who sent the create event first; empty if the content names none."""
    authorization = create.rules.authorization
    creator = create.sender if authorization.use_room_create_sender else create.content.get("creator")
    creators: tuple[str, ...] = (creator,) if isinstance(creator, str) else ()
    if authorization.additional_room_creators:
        additional = create.content.get("additional_creators")
        if isinstance(additional, list):
            creators += tuple([user_id for user_id in additional if isinstance(user_id, str)])
    return creators


def is_federated(create: Event) -> bool:
    """Say whether users of other servers than the creator's may take part."""
    return create.content.get("m.federate") is not False


def room_version_of(create: Event) -> str:
    """Name the room version; empty if the content has something that is no name."""
    version = create.content.get("room_version", _FIRST_VERSION)
    return version if isinstance(version, str) else ""


def room_type_of(create: Event) -> str | None:
    """Name the type of room, e.g. `m.space`; None for a room to talk in."""
    room_type = create.content.get("type")
    return room_type if isinstance(room_type, str) else None


def predecessor_of(create: Event) -> str | None:
    """Name the room that this one replaces."""
    predecessor = create.content.get("predecessor")
    room_id = predecessor.get("room_id") if isinstance(predecessor, dict) else None
    return room_id if isinstance(room_id, str) else None
