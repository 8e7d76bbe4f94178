"""What the user keeps with the account: `account_data`, global and in rooms."""

from collections.abc import Iterable, Sequence

import orjson

from homeserver.core.changes import AccountDataChange
from homeserver.core.filters import EventFilter, event_passes, room_passes
from homeserver.core.push_rules.predefined import predefined_ruleset
from homeserver.sync.body import Body
from homeserver.sync.ports import SyncReads
from homeserver.sync.request import Window
from homeserver.sync.spans import Section, Span

__all__ = ["AccountData"]

PUSH_RULES = "m.push_rules"
_TOLD = (Section.JOIN, Section.LEAVE)


class AccountData:
    """Tells of account data. It has no history: what changed twice is told once, as it is now.

    So a row that is ahead of the window, committed while that was made, is told all the same, and again with
    the next one: what it replaced may have been acknowledged, and would be missing.
    """

    def __init__(self, reads: SyncReads) -> None:
        self._reads = reads

    async def complete(self, window: Window, spans: list[Span], body: Body) -> None:
        """All that there is."""
        rows = await self._reads.account_data_after(window.user.user_id, 0)
        # A client that asks for everything again may know of something that is no more.
        news = [row for row in rows if row.content is not None or _is_new(window, row)]
        if not any(row.type == PUSH_RULES and row.room_id is None for row in news):
            news.append(_predefined_push_rules(window))
        _tell(window, spans, news, body)

    async def incremental(self, window: Window, spans: list[Span], body: Body) -> None:
        """What changed; of rooms that are new to the client, all."""
        since = window.since
        assert since is not None, "an increment has a beginning"
        if window.request.full_state:
            await self.complete(window, spans, body)
            return
        user = window.user
        news = user.account_data.after(since)
        if news is None:
            rows = await self._reads.account_data_after(user.user_id, since.lowest)
            news = [row for row in rows if _is_new(window, row)]
        else:
            # Where only a page of what was heard is told.
            news = [change for change in news if window.now.covers(change.position)]
        anew = {span.room_id for span in spans if span.anew and span.section in _TOLD}
        if anew:
            # Deleted ones too: the client may know the room from an earlier time.
            rows = await self._reads.account_data_of_rooms(user.user_id, anew)
            news = [*(change for change in news if change.room_id not in anew), *rows]
        _tell(window, spans, news, body)


def _is_new(window: Window, row: AccountDataChange) -> bool:
    return window.since is not None and not window.since.covers(row.position)


def _tell(window: Window, spans: Iterable[Span], news: Iterable[AccountDataChange], body: Body) -> None:
    """Put news where they belong."""
    wanted = window.request.filter
    everywhere: list[AccountDataChange] = []
    by_room: dict[str, list[AccountDataChange]] = {}
    for change in news:
        if change.room_id is None:
            everywhere.append(change)
        else:
            by_room.setdefault(change.room_id, []).append(change)
    if everywhere:
        body.account_data += _encoded(wanted.account_data, everywhere)
    if not by_room:
        return
    sections = {span.room_id: span.section for span in spans}
    for room_id, changes in by_room.items():
        section = sections.get(room_id) or _section_of_quiet_room(window, room_id)
        rooms = {Section.JOIN: body.joined, Section.LEAVE: body.left}.get(section) if section else None
        # In other rooms it waits until the user comes in: then the room is told whole.
        if rooms is None or not room_passes(wanted.room.account_data, room_id):
            continue
        told = _encoded(wanted.room.account_data, changes)
        if told:
            body.add(rooms, room_id, b'"account_data":{"events":[%b]}' % b",".join(told))


def _section_of_quiet_room(window: Window, room_id: str) -> Section | None:
    """Where a room belongs in which nothing else happened: if the user was in it all the time."""
    room = window.user.rooms.get(room_id)
    if room is None or room.membership != "join" or window.since is None:
        return None
    if not window.since.covers(room.position) or not room_passes(window.request.filter.room, room_id):
        return None
    return Section.JOIN


def _encoded(wanted: EventFilter, changes: Sequence[AccountDataChange]) -> list[bytes]:
    if not wanted.passes_all:
        changes = [change for change in changes if _passes(wanted, change)]
    if wanted.limit is not None:
        changes = changes[len(changes) - min(wanted.limit, len(changes)) :]  # the last ones
    return [
        b'{"type":%b,"content":%b}' % (orjson.dumps(change.type), change.content or b"{}")
        for change in changes
    ]


def _passes(wanted: EventFilter, change: AccountDataChange) -> bool:
    content = orjson.loads(change.content or b"{}")
    return event_passes(wanted, change.type, change.user_id, content)


def _predefined_push_rules(window: Window) -> AccountDataChange:
    user_id = window.user.user_id
    rules = orjson.dumps({"global": predefined_ruleset(user_id)})
    return AccountDataChange(0, user_id, None, PUSH_RULES, rules)
