"""Event authorization: whether an event is allowed in its room.

Spec: https://spec.matrix.org/v1.19/server-server-api/#authorization-rules

An event from another server is checked by the events that it names, by the state before it and by the
current state; one of our own only by the current state, which is all three at once.
"""

from collections.abc import Collection, Mapping, Sequence

from homeserver.core.auth.denied import Denied
from homeserver.core.auth.dependent import check_against_state
from homeserver.core.auth.independent import check_auth_events, check_create
from homeserver.core.auth.selection import StateKey
from homeserver.core.event.pdu import Event

__all__ = ["Denied", "StateKey", "authorize", "authorize_by_auth_events"]


def authorize(event: Event, state: Mapping[StateKey, Event]) -> Denied | None:
    """Check an event against a room state; None if it is allowed.

    Args:
        event: whose format, hashes and signatures have been checked.
        state: the room state, or what `auth_types_for` selects of it; always with the `m.room.create`, even
            where the room version does not name that among the auth events. Empty for that event itself.
    """
    if event.type == "m.room.create":
        return check_create(event)
    return check_against_state(event, state)


def authorize_by_auth_events(
    event: Event,
    auth_events: Sequence[Event],
    *,
    create: Event | None = None,
    rejected: Collection[str] = frozenset(),
) -> Denied | None:
    """Check an event against the events that it names as those that allow it; None if it is allowed.

    Args:
        event: whose format, hashes and signatures have been checked.
        auth_events: the events that it names, all of them.
        create: the room's `m.room.create`; only needed where the room is named after it.
        rejected: event IDs, at least those among `auth_events` and `create`, that were rejected themselves.
    """
    if event.type == "m.room.create":
        return check_create(event)  # the rules do not look at what it names
    denied = check_auth_events(event, auth_events, create=create, rejected=rejected)
    if denied is not None:
        return denied
    state = {(auth_event.type, auth_event.state_key or ""): auth_event for auth_event in auth_events}
    if event.rules.authorization.room_create_event_id_as_room_id and create is not None:
        state["m.room.create", ""] = create
    return check_against_state(event, state)
