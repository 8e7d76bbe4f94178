"""Server-side backups of the keys of encrypted rooms; only clients can read them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from itertools import islice

from homeserver.core.errors import InvalidParam, MatrixError, NotFound, TooLarge, WrongRoomKeysVersion
from homeserver.core.identifiers import parse_room_id
from homeserver.runtime.observation import Failure, Observer
from storage.pool import Database, Transaction
from storage.tables import key_backup
from storage.tables.key_backup import BackedUpKey, BackupRow, KeyPlace

__all__ = ["KeyBackups", "KeysState"]

VERSIONS_PER_USER_MAX = 100
KEYS_PER_VERSION_MAX = 1_000_000
ALGORITHM_BYTES_MAX = 255
AUTH_DATA_BYTES_MAX = 65_536
SESSION_ID_BYTES_MAX = 255
SESSION_DATA_BYTES_MAX = 16_384
_KEYS_PER_STATEMENT_MAX = 500
"""Encoding so many takes about a millisecond, then others get their turn."""
_KEYS_PER_PAGE_MAX = 1_000
_KEYS_FORGOTTEN_AT_ONCE_MAX = 10_000
_VERSIONS_FORGOTTEN_AT_ONCE_MAX = 100
_SWEEP_INTERVAL_S = 3_600.0
_NO_VERSION = "There is no backup of this version."


@dataclass(frozen=True, slots=True)
class KeysState:
    """What a client is told of the keys of a version.

    Attributes:
        etag: another one after each change.
        count: how many keys there are.
    """

    etag: str
    count: int


class KeyBackups:
    """Keeps backups: of each user some versions, of which only the latest takes keys.

    Args:
        database: where they are.
        observer: hears of failures to delete.
    """

    def __init__(self, database: Database, observer: Observer) -> None:
        self._database = database
        self._observer = observer
        self._forgetting = asyncio.Lock()

    async def create(self, user_id: str, algorithm: str, auth_data: bytes) -> str:
        """Begin a backup, which is the latest from then on; returns its version.

        Args:
            user_id: whose.
            algorithm: how its keys are encrypted.
            auth_data: JSON object, of the algorithm.

        Raises:
            InvalidParam: no name of an algorithm.
            TooLarge: the user has too many backups, or `auth_data` is too long.
        """
        if not algorithm or "\0" in algorithm or len(algorithm.encode()) > ALGORITHM_BYTES_MAX:
            raise InvalidParam(f"algorithm must have 1 to {ALGORITHM_BYTES_MAX} bytes, none of them NUL.")
        _check_auth_data(auth_data)
        async with self._database.transaction() as transaction:
            version = await key_backup.create(transaction, user_id, algorithm, auth_data)
            if await key_backup.count_live(transaction, user_id) > VERSIONS_PER_USER_MAX:
                raise TooLarge(f"There may be at most {VERSIONS_PER_USER_MAX} backups: delete old ones.")
        return str(version)

    async def current(self, user_id: str) -> BackupRow:
        """The latest version.

        Raises:
            NotFound: there is no backup.
        """
        found = await key_backup.current(self._database, user_id)
        if found is None:
            raise NotFound("There is no backup.")
        return found

    async def find(self, user_id: str, version: str) -> BackupRow:
        """One version.

        Raises:
            NotFound: it is not there.
        """
        number = _number(version)
        found = None if number is None else await key_backup.find(self._database, user_id, number)
        if found is None:
            raise NotFound(_NO_VERSION)
        return found

    async def set_auth_data(self, user_id: str, version: str, algorithm: str, auth_data: bytes) -> None:
        """Replace the authentication data of a version.

        Raises:
            InvalidParam: the version has another algorithm.
            NotFound: it is not there.
            TooLarge: `auth_data` is too long.
        """
        _check_auth_data(auth_data)
        found = await self.find(user_id, version)
        if found.algorithm != algorithm:
            raise InvalidParam(f"algorithm must be {found.algorithm}, as it was when the backup began.")
        await key_backup.set_auth_data(self._database, user_id, found.version, auth_data)

    async def delete(self, user_id: str, version: str) -> None:
        """Delete a version with its keys; one that was deleted before is no matter.

        Raises:
            NotFound: there never was such a version.
        """
        number = _number(version)
        if number is None or number > await key_backup.last_version(self._database, user_id):
            raise NotFound(_NO_VERSION)
        if await key_backup.hide(self._database, user_id, number):
            await self.forget()

    async def delete_all(self, user_id: str) -> None:
        """Delete every version of a user, who is going for good."""
        await key_backup.hide_all(self._database, user_id)
        await self.forget()

    async def put(self, user_id: str, version: str, keys: Iterable[BackedUpKey]) -> KeysState:
        """Store keys, each unless there is a better one; they are durable on return.

        Raises:
            InvalidParam: a room ID or session ID that is none.
            NotFound: there is no backup.
            TooLarge: a key, or all keys together, are over their limit.
            WrongRoomKeysVersion: the version is not the latest one.
        """
        remaining = iter(keys)
        async with self._database.transaction() as transaction:
            latest = await key_backup.lock_current(transaction, user_id)
            if latest is None:
                raise NotFound("There is no backup.")
            if str(latest.version) != version:
                raise WrongRoomKeysVersion(
                    "Keys go into the latest backup only.", current_version=str(latest.version)
                )
            new = stored = 0
            while part := list(islice(remaining, _KEYS_PER_STATEMENT_MAX)):
                for key in part:
                    _check_key(key)
                new_in_part, stored_in_part = await key_backup.put(transaction, user_id, latest.version, part)
                new += new_in_part
                stored += stored_in_part
            if latest.key_count + new > KEYS_PER_VERSION_MAX:
                raise TooLarge(f"A backup holds at most {KEYS_PER_VERSION_MAX} keys.")
            return await _changed(transaction, user_id, latest, is_changed=stored > 0, keys_more=new)

    async def keys(self, user_id: str, version: str, place: KeyPlace) -> AsyncIterator[list[BackedUpKey]]:
        """Read keys, by room and session, some at a time.

        Raises:
            NotFound: there is no such version.
        """
        number = (await self.find(user_id, version)).version
        after = ("", "")
        while True:
            page = await key_backup.keys(
                self._database, user_id, number, place, after=after, limit=_KEYS_PER_PAGE_MAX
            )
            if page:
                yield page
            if len(page) < _KEYS_PER_PAGE_MAX:
                return
            after = (page[-1].room_id, page[-1].session_id)

    async def delete_keys(self, user_id: str, version: str, place: KeyPlace) -> KeysState:
        """Delete keys; those that are not there are no matter.

        Raises:
            NotFound: there is no such version.
        """
        number = _number(version)
        async with self._database.transaction() as transaction:
            found = None if number is None else await key_backup.lock(transaction, user_id, number)
            if found is None:
                raise NotFound(_NO_VERSION)
            deleted = await key_backup.delete_keys(transaction, user_id, found.version, place)
            return await _changed(transaction, user_id, found, is_changed=deleted > 0, keys_more=-deleted)

    async def run(self) -> None:
        """Finish for ever what was left of deletions; to be started once, in the background."""
        while True:
            try:
                await self.forget()
            except MatrixError as error:
                self._observer(Failure(error))
            await asyncio.sleep(_SWEEP_INTERVAL_S)

    async def forget(self) -> None:
        """Delete the keys of versions that nobody sees any more, in steps that hold nobody up."""
        async with self._forgetting:
            while versions := await key_backup.unfinished(self._database, _VERSIONS_FORGOTTEN_AT_ONCE_MAX):
                for user_id, version in versions:
                    limit = _KEYS_FORGOTTEN_AT_ONCE_MAX
                    while not await key_backup.forget_some(self._database, user_id, version, limit):
                        pass


async def _changed(
    transaction: Transaction, user_id: str, before: BackupRow, *, is_changed: bool, keys_more: int
) -> KeysState:
    if not is_changed:
        return KeysState(str(before.etag), before.key_count)
    etag, count = await key_backup.note_change(transaction, user_id, before.version, keys_more=keys_more)
    return KeysState(str(etag), count)


def _number(version: str) -> int | None:
    """The number of a version, if it is written as this server writes it."""
    is_number = version.isascii() and version.isdigit() and len(version) <= 18 and version[0] != "0"
    return int(version) if is_number else None


def _check_auth_data(auth_data: bytes) -> None:
    if len(auth_data) > AUTH_DATA_BYTES_MAX:
        raise TooLarge(f"auth_data may have at most {AUTH_DATA_BYTES_MAX} bytes.")


def _check_key(key: BackedUpKey) -> None:
    try:
        parse_room_id(key.room_id)
    except ValueError as error:
        raise InvalidParam(str(error)) from None
    session_id = key.session_id
    if not session_id or "\0" in session_id or len(session_id.encode()) > SESSION_ID_BYTES_MAX:
        raise InvalidParam(f"A session ID has 1 to {SESSION_ID_BYTES_MAX} bytes, none of them NUL.")
    if len(key.session_data) > SESSION_DATA_BYTES_MAX:
        raise TooLarge(f"session_data may have at most {SESSION_DATA_BYTES_MAX} bytes.")
