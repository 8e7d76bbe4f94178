"""Which member events a session has been told already, so that lazy loading does not repeat them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable

from homeserver.core.positions import SyncToken

__all__ = ["LazyMembers"]

MEMBERS_MAX = 500_000
MEMBERS_PER_ROOM_MAX = 500


class LazyMembers:
    """Remembers per session and room whose member events were told, and with which token.

    A member counts as told only to a client that comes with that token or a later one: an answer that got
    lost on its way told nothing. What is forgotten here is told again, which the specification allows.
    """

    def __init__(
        self, *, members_per_room_max: int = MEMBERS_PER_ROOM_MAX, members_max: int = MEMBERS_MAX
    ) -> None:
        self._members_per_room_max = members_per_room_max
        self._members_max = members_max
        self._members = 0
        self._told: OrderedDict[tuple[int, str], dict[str, SyncToken]] = OrderedDict()

    def untold(
        self, session_id: int, room_id: str, user_ids: Iterable[str], since: SyncToken | None
    ) -> list[str]:
        """Those of `user_ids` whose member events the session still lacks."""
        told = self._told.get((session_id, room_id))
        if told is None or since is None:
            return list(user_ids)
        found = []
        for user_id in user_ids:
            token = told.get(user_id)
            if token is None or not since.covers_all_of(token):
                found.append(user_id)
        return found

    def tell(self, session_id: int, room_id: str, user_ids: Collection[str], token: SyncToken) -> None:
        """The answer with this token tells the member events of these users."""
        if not user_ids:
            return
        key = (session_id, room_id)
        told = self._told.setdefault(key, {})
        self._told.move_to_end(key)
        before = len(told)
        for user_id in user_ids:
            told[user_id] = token
        while len(told) > self._members_per_room_max:
            del told[next(iter(told))]
        self._members += len(told) - before
        while self._members > self._members_max and len(self._told) > 1:
            self._members -= len(self._told.popitem(last=False)[1])
