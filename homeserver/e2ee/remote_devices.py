"""The devices of users of other servers: kept while they share a room with ours, as their servers tell them.

A user's server numbers what it tells of the user's devices. Where a number is missing, the list is stale: who
asks for it is answered by the user's server, and all of it is read anew, now or when that server is there.

Spec: https://spec.matrix.org/v1.19/server-server-api/#device-management
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar

from homeserver.core.changes import Change, EventChange
from homeserver.core.content.member import JOIN
from homeserver.core.device_list_updates import (
    DEVICES_PER_USER_MAX,
    STREAM_ID_MAX,
    DeviceListUpdate,
    DeviceSnapshot,
    signing_keys,
    snapshot,
    update,
    user_of,
)
from homeserver.core.errors import MatrixError, Unavailable
from homeserver.core.identifiers import server_name_of
from homeserver.e2ee.device_lists import DeviceLists
from homeserver.e2ee.kept_devices import KeptDevices
from homeserver.e2ee.key_ports import RemoteKeys
from homeserver.runtime.clock import Clock
from homeserver.runtime.observation import Level, Observation, Observer
from homeserver.runtime.tasks import end_if_cancelled
from homeserver.runtime.together import side_by_side
from storage.pool import Database, Transaction
from storage.tables import device_lists
from storage.tables import remote_devices as stored
from storage.tables.device_lists import Noted
from storage.tables.remote_devices import KeptKeys, KeptList, RemoteDevice

__all__ = ["DeviceListsRead", "RemoteDeviceLists"]

READ_AT_ONCE_MAX = 20
READ_PER_SERVER_MAX = 5
READ_PER_ROUND_MAX = 200
LOOK_INTERVAL_S = 30.0
RETRY_MS_MIN = 60_000
RETRY_MS_MAX = 6 * 3_600_000
RETRY_AFTER_MOVE_MS = 1_000
LEFT_WAITING_MAX = 10_000
_DOUBLINGS_MAX = 10
_MEMBER = "m.room.member"


@dataclass(frozen=True, slots=True)
class DeviceListsRead(Observation):
    """Lists of devices were read from other servers.

    Attributes:
        read: how many.
        failed: how many are to be tried again.
    """

    level: ClassVar[Level] = Level.DEBUG
    read: int
    failed: int


class _Outcome(Enum):
    """What an update comes to: something is new, or so much that the list is to be read, or nothing."""

    NEWS = "news"
    GAP = "gap"
    REPETITION = "repetition"


class RemoteDeviceLists:
    """Keeps the lists.

    Args:
        database: where they are.
        device_lists: tells our users that a list has changed.
        kept: says that there are lists to be read.
        remote: asks the users' servers.
        clock: for when to try again.
        observer: hears what was read.
        server_name: of this one.
    """

    def __init__(
        self, *, database: Database, device_lists: DeviceLists, kept: KeptDevices, remote: RemoteKeys,
        clock: Clock, observer: Observer, server_name: str,
    ) -> None:  # fmt: skip
        self._database = database
        self._device_lists = device_lists
        self._wanted = kept.wanted
        self._remote = remote
        self._clock = clock
        self._observer = observer
        self._server_name = server_name
        self._reading: dict[str, int] = {}  # the highest number that came while a list is read
        self._left: dict[str, None] = {}  # rooms and users to be looked at
        self._has_overflown = True  # at the start, all are looked at

    async def device_list_update(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in an `m.device_list_update`; what is none of that is ignored.

        A statement, and for a user who shares a room with ours a transaction of six at most, and a flush.
        """
        told = update(content, origin)
        if told is None or not await stored.shared(self._database, (told.user_id,)):
            return
        if told.user_id in self._reading:
            self._reading[told.user_id] = max(self._reading[told.user_id], told.stream_id)
        noted: Sequence[Noted] = ()
        async with self._database.transaction() as transaction:
            known = await stored.lock(transaction, told.user_id)
            outcome = _Outcome.NEWS if known is None else await _take_in(transaction, known, told)
            if outcome is not _Outcome.REPETITION:
                noted = await device_lists.note(transaction, [(told.user_id, None)])
        if outcome is _Outcome.GAP:
            self._wanted.set()
        await self._device_lists.announce(noted)

    async def signing_key_update(self, origin: str, content: Mapping[str, Any]) -> None:
        """Take in an `m.signing_key_update`; what is none of that is ignored."""
        user_id = user_of(content, origin)
        if user_id is None or not await stored.shared(self._database, (user_id,)):
            return
        keys = signing_keys(content, user_id)
        if keys == (None, None):
            return
        if user_id in self._reading:
            # These have no number: what is being read may lack them.
            self._reading[user_id] = STREAM_ID_MAX
        async with self._database.transaction() as transaction:
            if await stored.lock(transaction, user_id) is not None:
                await stored.set_signing_keys(transaction, user_id, *keys)
            noted = await device_lists.note(transaction, [(user_id, None)])
        await self._device_lists.announce(noted)

    def follow(self, changes: Sequence[Change]) -> None:
        """Note who may share no room with ours any more; returns at once."""
        for change in changes:
            if type(change) is not EventChange:
                continue
            if change.event.type == _MEMBER or change.resets or change.removed:
                self._note_moves(change)

    async def run(self) -> None:
        """Read what is stale and forget what is not shared, for as long as the server runs."""
        while True:
            end_if_cancelled()
            self._wanted.clear()  # first: what comes to be wanted meanwhile is looked for once more
            try:
                await self.forget_unshared()
                # A round takes a few of each server. Those that could not be read are postponed, so it ends.
                while await self.read_stale():
                    end_if_cancelled()
            except Unavailable:
                pass  # of our database: the next time, then
            try:
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def forget_unshared(self) -> None:
        """Forget the lists of those who share no room with ours any more."""
        left, self._left = self._left, {}
        is_all, self._has_overflown = self._has_overflown, False
        try:
            if is_all:
                await stored.forget_unshared(self._database)
                return
            if users := [name for name in left if name.startswith("@")]:
                await stored.forget_unshared(self._database, users)
            for name in left:
                if name.startswith("!"):
                    await stored.forget_unshared_of_room(self._database, name)
        except Unavailable:
            self._has_overflown = True
            raise

    async def read_stale(self) -> int:
        """Read the lists that are stale, as far as it is their time; returns how many it tried."""
        users = await stored.stale(
            self._database, self._clock.now_ms(), per_server=READ_PER_SERVER_MAX, limit=READ_PER_ROUND_MAX
        )
        if users:
            done = await side_by_side(map(self._read, users), at_once_max=READ_AT_ONCE_MAX)
            self._observer(DeviceListsRead(sum(done), len(done) - sum(done)))
        return len(users)

    async def _read(self, user_id: str) -> bool:
        """Read a list from the user's server; whether that went well."""
        self._reading[user_id] = stored.NEVER_READ
        try:
            answer = await self._remote.devices(server_name_of(user_id) or "", user_id)
            found = snapshot(answer, user_id)
            if found is None:
                raise Unavailable("That is no list of devices.")
            await self._replace(user_id, found)
        except MatrixError:
            await self._postpone(user_id)
            return False
        finally:
            del self._reading[user_id]
        return True

    async def _replace(self, user_id: str, found: DeviceSnapshot) -> None:
        noted: Sequence[Noted] = ()
        devices = [RemoteDevice(each.device_id, each.display_name, each.keys) for each in found.devices]
        read = KeptKeys(user_id, found.master_key, found.self_signing_key, devices)
        async with self._database.transaction() as transaction:
            known = await stored.lock(transaction, user_id)
            if known is None:
                return
            has_moved = self._reading[user_id] > found.stream_id
            retry_ms = self._clock.now_ms() + RETRY_AFTER_MOVE_MS if has_moved else None
            await stored.replace(transaction, found.stream_id, read, retry_ms=retry_ms)
            if known.failures or has_moved:
                # Who asked meanwhile got no answer, or an older one.
                noted = await device_lists.note(transaction, [(user_id, None)])
        await self._device_lists.announce(noted)

    async def _postpone(self, user_id: str) -> None:
        async with self._database.transaction() as transaction:
            known = await stored.lock(transaction, user_id)
            if known is not None:
                delay_ms = min(RETRY_MS_MIN << min(known.failures, _DOUBLINGS_MAX), RETRY_MS_MAX)
                await stored.postpone(transaction, user_id, self._clock.now_ms() + delay_ms)

    def _note_moves(self, change: EventChange) -> None:
        event = change.event
        gone: list[str] = list(change.lost_members)
        if event.type == _MEMBER and change.previous_membership == JOIN:
            gone.append(event.state_key or "")
        gone += [each.state_key or "" for each in change.resets if each.type == _MEMBER]
        for user_id in gone:
            is_ours = server_name_of(user_id) == self._server_name
            self._left[change.room_id if is_ours else user_id] = None
        if len(self._left) > LEFT_WAITING_MAX:
            self._left.clear()
            self._has_overflown = True
        if gone:
            self._wanted.set()


async def _take_in(transaction: Transaction, known: KeptList, told: DeviceListUpdate) -> _Outcome:
    """Bring a list, which is locked, up to date, or note that it is stale."""
    if known.is_stale:
        return _Outcome.NEWS
    device = RemoteDevice(told.device.device_id, told.device.display_name, told.device.keys)
    before = await stored.find_device(transaction, told.user_id, device.device_id)
    after = None if told.is_deleted else device
    is_old = told.stream_id <= known.stream_id
    if is_old and before == after:
        return _Outcome.REPETITION
    is_gap = is_old or not told.previous or max(told.previous) > known.stream_id
    if not is_gap and before is None:
        is_gap = await stored.device_count(transaction, told.user_id) >= DEVICES_PER_USER_MAX
    if is_gap:
        await stored.mark_stale(transaction, told.user_id)
        return _Outcome.GAP
    if after is None:
        await stored.delete_device(transaction, told.user_id, device.device_id)
    else:
        await stored.put_device(transaction, told.user_id, after)
    await stored.set_stream_id(transaction, told.user_id, told.stream_id)
    return _Outcome.REPETITION if before == after else _Outcome.NEWS
