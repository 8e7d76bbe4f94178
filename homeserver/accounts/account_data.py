"""Account data: what clients keep with an account, for all of its devices; global, or in a room.

Spec: https://spec.matrix.org/v1.19/client-server-api/#client-config
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import orjson

from homeserver.core.changes import AccountDataChange
from homeserver.core.errors import BadJson, InvalidParam, NotFound, TooLarge
from homeserver.core.identifiers import parse_room_id
from homeserver.core.push_rules.predefined import predefined_ruleset
from storage.journal import Journal
from storage.tables import account_data
from storage.tables.queries import Queries
from storage.write import Write

__all__ = ["AccountData", "SetByServer"]

TYPE_BYTES_MAX = 255
CONTENT_BYTES_MAX = 131_072
ENTRIES_PER_USER_MAX = 20_000
"""Deleted ones count: their rows stay, so that clients who come back get to know."""
BYTES_PER_USER_MAX = 20_971_520

FULLY_READ = "m.fully_read"
PUSH_RULES = "m.push_rules"
_SET_BY_SERVER = frozenset({FULLY_READ, PUSH_RULES})

_Key = tuple[str, str | None, str]


class SetByServer(BadJson):
    """A type of account data that clients change in other ways."""

    status = 405


class AccountData:
    """Reads account data, and writes it through the journal: one change of an entry after the other.

    Args:
        queries: to read with.
        journal: to write with.
    """

    def __init__(self, *, queries: Queries, journal: Journal) -> None:
        self._queries = queries
        self._journal = journal
        self._locks: WeakValueDictionary[_Key, asyncio.Lock] = WeakValueDictionary()
        self._writes: dict[_Key, asyncio.Future[None]] = {}

    async def get(self, user_id: str, type_: str, room_id: str | None = None) -> bytes:
        """The content of one type, as JSON.

        Raises:
            InvalidParam: no room ID, or no type.
            NotFound: there is none.
        """
        _check_names(type_, room_id)
        content = await account_data.find(self._queries, user_id, room_id, type_)
        if content is None and type_ == PUSH_RULES and room_id is None:
            # Nobody can change their rules yet: everybody has the predefined ones.
            content = orjson.dumps({"global": predefined_ruleset(user_id)})
        if content is None:
            raise NotFound("There is no account data of this type.")
        return content

    async def set(
        self, user_id: str, type_: str, content: dict[str, Any], room_id: str | None = None
    ) -> None:
        """Set one type, as its user asks; it is durable on return.

        Raises:
            InvalidParam: no room ID, or no type.
            SetByServer: the type is not one that clients set this way.
            TooLarge: the content, or all of the user's together, is over its limit.
            Unavailable: it could not be stored just now.
        """
        _check_is_clients(type_)
        encoded = orjson.dumps(content)
        await self.change(user_id, type_, lambda _: encoded, room_id)

    async def delete(self, user_id: str, type_: str, room_id: str | None = None) -> None:
        """Delete one type, as its user asks; one that is not set is no matter.

        Raises:
            InvalidParam: no room ID, or no type.
            SetByServer: the type is not one that clients set this way.
            Unavailable: it could not be stored just now.
        """
        _check_is_clients(type_)
        await self.change(user_id, type_, lambda _: None, room_id)

    async def set_fully_read(self, user_id: str, room_id: str, event_id: str) -> None:
        """Set the marker of how far a user has read everything in a room; it is durable on return.

        Raises:
            Unavailable: it could not be stored just now.
        """
        encoded = orjson.dumps({"event_id": event_id})
        await self.change(user_id, FULLY_READ, lambda _: encoded, room_id)

    async def change(
        self,
        user_id: str,
        type_: str,
        decide: Callable[[bytes | None], bytes | None],
        room_id: str | None = None,
    ) -> None:
        """Change one type, whoever may set it: `decide` makes the new content of the old; None: deleted.

        Nothing is written, and no client is told, where they are the same.

        Raises:
            InvalidParam: no room ID, or no type.
            TooLarge: the content, or all of the user's together, is over its limit.
            Unavailable: it could not be stored just now.
        """
        _check_names(type_, room_id)
        key = (user_id, room_id, type_)
        lock = self._locks.get(key)
        if lock is None:
            lock = self._locks[key] = asyncio.Lock()
        async with lock:
            earlier = self._writes.get(key)
            if earlier is not None:
                # Whoever wrote it went away and does not wait any more: its outcome is the old content.
                await asyncio.wait([earlier])
            old = await account_data.find(self._queries, user_id, room_id, type_)
            new = decide(old)
            if new == old:
                return
            if new is not None:
                await self._check_room_for(key, old, new)
            await asyncio.shield(self._append(key, new))

    async def _check_room_for(self, key: _Key, old: bytes | None, new: bytes) -> None:
        if len(new) > CONTENT_BYTES_MAX:
            raise TooLarge(f"Account data of one type may have at most {CONTENT_BYTES_MAX} bytes.")
        if old is not None and len(new) <= len(old):
            return
        entries, size_bytes = await account_data.usage_beside(self._queries, *key)
        if entries >= ENTRIES_PER_USER_MAX:
            raise TooLarge(f"An account may have at most {ENTRIES_PER_USER_MAX} entries of account data.")
        if size_bytes + len(new) > BYTES_PER_USER_MAX:
            raise TooLarge(
                f"An account may have at most {BYTES_PER_USER_MAX} bytes of account data: delete some."
            )

    def _append(self, key: _Key, content: bytes | None) -> "asyncio.Future[None]":
        user_id, room_id, type_ = key
        write = Write()
        change = AccountDataChange(self._journal.next_position(), user_id, room_id, type_, content)
        account_data.add(write, change)
        future = self._writes[key] = self._journal.append(write)
        future.add_done_callback(partial(self._written, key))
        return future

    def _written(self, key: _Key, future: "asyncio.Future[None]") -> None:
        del self._writes[key]
        future.exception()  # whoever waited may be gone


def _check_is_clients(type_: str) -> None:
    if type_ in _SET_BY_SERVER:
        raise SetByServer(f"{type_} is not set as account data; it has endpoints of its own.")


def _check_names(type_: str, room_id: str | None) -> None:
    if not type_ or "\0" in type_ or len(type_.encode()) > TYPE_BYTES_MAX:
        raise InvalidParam(f"A type of account data has 1 to {TYPE_BYTES_MAX} bytes, none of them NUL.")
    if room_id is not None:
        try:
            parse_room_id(room_id)
        except ValueError as error:
            raise InvalidParam(str(error)) from None
