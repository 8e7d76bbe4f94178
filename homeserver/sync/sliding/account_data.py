"""The extension `account_data`: what the user keeps with the account, global and in rooms."""

from collections.abc import Iterable

import orjson

from homeserver.core.changes import AccountDataChange
from homeserver.core.push_rules.predefined import predefined_ruleset
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.connections import Told
from homeserver.sync.sliding.lists import Listed
from homeserver.sync.sliding.look import Look
from homeserver.sync.sliding.request import RoomExtension
from homeserver.sync.sliding.scopes import rooms_in_scope

__all__ = ["AccountDataExtension"]

PUSH_RULES = "m.push_rules"


class AccountDataExtension:
    """Tells of account data. It has no history: what changed twice is told once, as it is now."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def tell(
        self, look: Look, asked: RoomExtension, listed: Listed, told: Told
    ) -> tuple[bytes, bool, Told]:
        """What is new; whether that is anything; and of which rooms the connection has been told then."""
        news = await self._news(look)
        in_scope = rooms_in_scope(asked, listed)
        told = dict(told)
        everywhere: list[AccountDataChange] = []
        by_room: dict[str, list[AccountDataChange]] = {}
        for change in news:
            room_id = change.room_id
            if room_id is None:
                everywhere.append(change)
            elif room_id not in told:
                pass  # all of it is told once the room comes into scope
            elif told[room_id] is not None:
                pass  # likewise all that came since then
            elif room_id in in_scope:
                by_room.setdefault(room_id, []).append(change)
            else:
                told[room_id] = look.since
        late = {room_id for room_id in in_scope if room_id not in told or told[room_id] is not None}
        if late:
            for change in await self._reads.account_data_of_rooms(look.user.user_id, late):
                bound = told.get(change.room_id or "")
                is_new = change.content is not None if bound is None else not bound.covers(change.position)
                if is_new and change.room_id is not None:
                    by_room.setdefault(change.room_id, []).append(change)
            told.update(dict.fromkeys(late))
        if look.since is None and not any(change.type == PUSH_RULES for change in everywhere):
            everywhere.append(_predefined_push_rules(look))
        rooms = [
            b"%b:[%b]" % (orjson.dumps(room_id), _encoded(changes)) for room_id, changes in by_room.items()
        ]
        body = b'{"global":[%b],"rooms":{%b}}' % (_encoded(everywhere), b",".join(rooms))
        return body, bool(everywhere or rooms), told

    async def _news(self, look: Look) -> Iterable[AccountDataChange]:
        """What changed, in all rooms; without a place to go on from, what there is."""
        user, since = look.user, look.since
        if since is None:
            rows = await self._reads.account_data_after(user.user_id, 0)
            return [row for row in rows if row.content is not None and row.room_id is None]
        news = user.account_data.after(since)
        if news is None:
            rows = await self._reads.account_data_after(user.user_id, since.lowest)
            news = [row for row in rows if not since.covers(row.position)]
        return news


def _encoded(changes: Iterable[AccountDataChange]) -> bytes:
    return b",".join(
        [
            b'{"type":%b,"content":%b}' % (orjson.dumps(change.type), change.content or b"{}")
            for change in changes
        ]
    )


def _predefined_push_rules(look: Look) -> AccountDataChange:
    rules = orjson.dumps({"global": predefined_ruleset(look.user.user_id)})
    return AccountDataChange(0, look.user.user_id, None, PUSH_RULES, rules)
