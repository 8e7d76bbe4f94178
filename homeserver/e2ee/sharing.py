"""Whose keys a user may ask for: everybody's, or only those of users in shared rooms."""

from collections.abc import Collection

from storage.interning import Interning
from storage.pool import Database
from storage.tables import device_lists

__all__ = ["Sharing"]


class Sharing:
    """Says whose keys are shown to whom.

    Args:
        database: where memberships are.
        interning: numbers of users.
        is_required: only users in shared rooms are shown; False: all are.
    """

    def __init__(self, *, database: Database, interning: Interning, is_required: bool) -> None:
        self._database = database
        self._interning = interning
        self._is_required = is_required

    async def visible(self, user_id: str, asked: Collection[str]) -> list[str]:
        """Name those of some users whose keys a user may see; no statement where that is all, else two."""
        if not self._is_required or not asked:
            return list(asked)
        nid = (await self._interning.existing("user", (user_id,))).get(user_id)
        found = set() if nid is None else await device_lists.sharing(self._database, nid, asked)
        return [each for each in asked if each in found or each == user_id]

    async def visible_to_server(self, origin: str, asked: Collection[str]) -> list[str]:
        """Name those of some users whose keys a server may see; no statement where that is all, else one."""
        if not self._is_required or not asked:
            return list(asked)
        found = await device_lists.sharing_with_server(self._database, origin, asked)
        return [each for each in asked if each in found]
