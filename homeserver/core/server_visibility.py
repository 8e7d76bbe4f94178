"""Which events of a room the servers that are in it may see. What one may not see, it is given redacted.

Spec: https://spec.matrix.org/v1.19/client-server-api/#room-history-visibility

A server sees what any of its users may see: what counts is the state at the event.
"""

from collections.abc import Collection

from homeserver.core.content.history_visibility import INVITED, JOINED, understood
from homeserver.core.content.member import INVITE, JOIN

__all__ = ["is_open_to_servers", "server_may_see"]


def is_open_to_servers(visibility: str) -> bool:
    """Say whether all servers in a room see an event that was sent under a history visibility.

    Args:
        visibility: one that is not understood counts as `shared`.
    """
    return understood(visibility) not in {INVITED, JOINED}


def server_may_see(visibility: str, memberships: Collection[str]) -> bool:
    """Say whether a server that is in a room now may see an event.

    Args:
        visibility: the room's history visibility at the event.
        memberships: of all users of the server, at the event.
    """
    if is_open_to_servers(visibility) or JOIN in memberships:
        return True
    return understood(visibility) == INVITED and INVITE in memberships
