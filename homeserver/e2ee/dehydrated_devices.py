"""Dehydrated devices: they take messages while their user is logged out, for a device that is to come.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/3814
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from homeserver.core.errors import BadJson, Forbidden, InvalidParam, NotFound, TooLarge
from homeserver.core.public_keys import check_name, device_keys, named_keys
from homeserver.e2ee.device_lists import DeviceLists
from homeserver.runtime.clock import Clock
from storage.pool import Database, Transaction
from storage.tables import cross_signing, dehydrated_devices, device_lists, devices, one_time_keys, to_device
from storage.tables import device_keys as identity_keys
from storage.tables.device_lists import Noted

__all__ = ["EVENTS_MAX", "Dehydrated", "DehydratedDevices"]

DATA_BYTES_MAX = 65_536
EVENTS_MAX = 100
_PLACE_DIGITS_MAX = 19
_NONE = "You have no dehydrated device."


@dataclass(frozen=True, slots=True)
class Dehydrated:
    """A dehydrated device as its user makes it.

    Attributes:
        device_id: chosen by the client.
        device_data: what the client needs to take it into use, encrypted; names its `algorithm`.
        display_name: what the user calls it.
        device_keys: its identity keys.
        one_time_keys: to be claimed.
        fallback_keys: for when these are used up.
    """

    device_id: str
    device_data: Mapping[str, Any]
    display_name: str | None
    device_keys: Mapping[str, Any]
    one_time_keys: Mapping[str, Any]
    fallback_keys: Mapping[str, Any]


class DehydratedDevices:
    """Keeps one dehydrated device a user. It is a device like others, but for that nobody is logged in on it.

    Args:
        database: where they are.
        device_lists: tells those who share a room with the user.
        clock: when a device was made.
    """

    def __init__(self, *, database: Database, device_lists: DeviceLists, clock: Clock) -> None:
        self._database = database
        self._device_lists = device_lists
        self._clock = clock

    async def set(self, user_id: str, made: Dehydrated) -> None:
        """Make the device with its keys, in place of the one before; durable on return.

        Raises:
            BadJson: the data or the keys are not in their form.
            Forbidden: the ID is that of one of the user's cross-signing keys.
            InvalidParam: the ID is none, or of a device in use; or the keys are another device's.
            TooLarge: the data or the keys are.
        """
        check_name(made.device_id, "device_id")
        data = _encoded_data(made.device_data)
        if made.display_name is not None:
            check_name(made.display_name, "initial_device_display_name")
        identity = device_keys(made.device_keys, user_id, made.device_id)
        one_time = named_keys(made.one_time_keys, "one_time_keys")
        fallback = named_keys(made.fallback_keys, "fallback_keys")
        if len({algorithm for algorithm, _ in fallback}) < len(fallback):
            raise InvalidParam("fallback_keys: there can be one key for each algorithm.")
        async with self._database.transaction() as transaction:
            await dehydrated_devices.lock_user(transaction, user_id)
            noted = await _remove(transaction, user_id)
            if await devices.find(transaction, user_id, made.device_id) is not None:
                raise InvalidParam("device_id: you have a device of this ID already.")
            if await cross_signing.is_key(transaction, user_id, made.device_id):
                raise Forbidden("device_id is one of your cross-signing keys.")
            now_ms = self._clock.now_ms()
            await devices.ensure(transaction, user_id, made.device_id, made.display_name, now_ms)
            await identity_keys.put(transaction, user_id, made.device_id, identity)
            if one_time:
                await one_time_keys.add(transaction, user_id, made.device_id, one_time)
            if fallback:
                await one_time_keys.set_fallback(transaction, user_id, made.device_id, fallback)
            await dehydrated_devices.put(transaction, user_id, made.device_id, data)
            noted += await device_lists.note_devices(transaction, user_id, [made.device_id])
        await self._device_lists.announce(noted)

    async def get(self, user_id: str) -> tuple[str, bytes]:
        """The ID and the data, JSON, of the user's dehydrated device.

        Raises:
            NotFound: there is none.
        """
        found = await dehydrated_devices.find(self._database, user_id)
        if found is None:
            raise NotFound(_NONE)
        return found

    async def delete(self, user_id: str) -> str:
        """Delete the user's dehydrated device, with its keys and all that waits for it; returns its ID.

        Raises:
            NotFound: there is none.
        """
        async with self._database.transaction() as transaction:
            await dehydrated_devices.lock_user(transaction, user_id)
            found = await dehydrated_devices.find(transaction, user_id)
            if found is None:
                raise NotFound(_NONE)
            noted = await _remove(transaction, user_id)
        await self._device_lists.announce(noted)
        return found[0]

    async def events(
        self, user_id: str, device_id: str, *, after: str | None, limit: int = EVENTS_MAX
    ) -> tuple[list[bytes], str, bool]:
        """Read messages to the dehydrated device, oldest first; they stay until it is deleted.

        Args:
            user_id: whose.
            device_id: which must be that of the device.
            after: where the page before ended; None: at the beginning.
            limit: how many at most.

        Returns:
            The events, JSON; where they end; and whether there are more.

        Raises:
            Forbidden: it is not the user's dehydrated device.
            InvalidParam: `after` is no place.
        """
        start = _place(after)
        found = await dehydrated_devices.find(self._database, user_id)
        if found is None or found[0] != device_id:
            raise Forbidden("This is not your dehydrated device.")
        limit = min(limit, EVENTS_MAX)
        rows = await to_device.waiting(self._database, user_id, device_id, after=start, limit=limit + 1)
        page = rows[:limit]
        end = page[-1][0] if page else start
        return [message for _, message in page], str(end), len(rows) > limit


async def _remove(transaction: Transaction, user_id: str) -> list[Noted]:
    """Remove the user's dehydrated device, if there is one; returns what others are to be told."""
    found = await dehydrated_devices.find(transaction, user_id)
    if found is None:
        return []
    noted = await device_lists.note_devices(transaction, user_id, [found[0]])
    await cross_signing.forget_signatures_of(transaction, user_id, [found[0]])
    await devices.delete(transaction, user_id, [found[0]])
    return noted


def _encoded_data(data: Mapping[str, Any]) -> bytes:
    if not isinstance(data.get("algorithm"), str):
        raise BadJson("device_data must have the name of its algorithm.")
    encoded = orjson.dumps(data)
    if len(encoded) > DATA_BYTES_MAX:
        raise TooLarge(f"device_data may have at most {DATA_BYTES_MAX} bytes.")
    return encoded


def _place(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _PLACE_DIGITS_MAX) or int(text) >= 2**63:
        raise InvalidParam("Give a place that this server gave.")
    return int(text)
