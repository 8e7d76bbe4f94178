"""The extension `account_data`: what the user keeps with the account, global and in rooms."""

from collections.abc import Collection, Iterable

import orjson

from homeserver.core.changes import AccountDataChange
from homeserver.core.push_rules.predefined import predefined_ruleset
from homeserver.sync.ports import SyncReads
from homeserver.sync.sliding.connections import Until
from homeserver.sync.sliding.look import Look

__all__ = ["AccountDataExtension"]

PUSH_RULES = "m.push_rules"
GLOBAL = ""


class AccountDataExtension:
    """Tells of account data. It has no history: what changed twice is told once, as it is now."""

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def tell(
        self, look: Look, in_scope: Collection[str], told: Until, *, is_settled: bool
    ) -> tuple[bytes, bool, Until]:
        """What is new; whether that is anything; and of which rooms the connection has been told then.

        Args:
            look: who looks, from where to where.
            in_scope: the rooms to tell of.
            told: the rooms of which account data was told; the empty name is for what is of no room.
            is_settled: nothing is new, and of no room anything is missing.
        """
        if is_settled and GLOBAL in told and told[GLOBAL] is None:
            return b'{"global":[],"rooms":{}}', False, told
        after = dict(told)
        by_room: dict[str, list[AccountDataChange]] = {}
        for change in await self._news(look):
            room_id = change.room_id or GLOBAL
            if room_id not in told or told[room_id] is not None:
                pass  # all that is missing is read
            elif room_id == GLOBAL or room_id in in_scope:
                by_room.setdefault(room_id, []).append(change)
            else:
                after[room_id] = look.since
        late = {room_id for room_id in in_scope if room_id not in told or told[room_id] is not None}
        for change in await self._reads.account_data_of_rooms(look.user.user_id, late) if late else ():
            _take_late(change, told, by_room)
        if GLOBAL not in told or told[GLOBAL] is not None:
            for change in await self._reads.account_data_after(look.user.user_id, 0):
                if change.room_id is None:
                    _take_late(change, told, by_room)
        if GLOBAL not in told and not any(one.type == PUSH_RULES for one in by_room.get(GLOBAL, ())):
            by_room.setdefault(GLOBAL, []).append(_predefined_push_rules(look))
        after.update(dict.fromkeys([*late, GLOBAL]))
        everywhere = by_room.pop(GLOBAL, [])
        rooms = [b"%b:[%b]" % (orjson.dumps(room_id), _encoded(one)) for room_id, one in by_room.items()]
        body = b'{"global":[%b],"rooms":{%b}}' % (_encoded(everywhere), b",".join(rooms))
        return body, bool(everywhere or rooms), after

    async def _news(self, look: Look) -> Iterable[AccountDataChange]:
        """What changed since the last answer, in all rooms."""
        user, since = look.user, look.since
        if since is None:
            return ()
        news = user.account_data.after(since)
        if news is None:
            rows = await self._reads.account_data_after(user.user_id, since.lowest)
            news = [row for row in rows if not since.covers(row.position)]
        return news


def _take_late(change: AccountDataChange, told: Until, by_room: dict[str, list[AccountDataChange]]) -> None:
    """Take what the connection lacks of what was read: all, or what changed since it was told."""
    room_id = change.room_id or GLOBAL
    bound = told.get(room_id)
    if change.content is not None if bound is None else not bound.covers(change.position):
        by_room.setdefault(room_id, []).append(change)


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
