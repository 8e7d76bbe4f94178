"""One-time and fallback keys: uploaded by devices, handed out to whoever wants to write to them.

Spec: https://spec.matrix.org/v1.19/client-server-api/#one-time-and-fallback-keys
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from homeserver.core.changes import Change, KeyCountsChange
from homeserver.core.errors import InvalidParam, UnknownToken
from homeserver.core.positions import SnowflakeClock
from homeserver.core.public_keys import check_name, named_keys
from homeserver.core.requester import Requester
from homeserver.e2ee.remote_keys import RemoteAnswers, parted_by_server
from homeserver.e2ee.sharing import Sharing
from homeserver.runtime.clock import Clock
from storage.pool import Database, Transaction
from storage.tables import device_keys
from storage.tables import one_time_keys as stored
from storage.tables.one_time_keys import KeyCounts

__all__ = ["OneTimeKeys"]

KEYS_PER_DEVICE_MAX = 1_000
DEVICES_PER_CLAIM_MAX = 50_000


class OneTimeKeys:
    """Takes keys and hands them out.

    Args:
        database: where they are.
        sharing: whose keys may be claimed.
        remote: asks other servers.
        publish: tells syncs that a device has more keys, or fewer.
        snowflakes: places of what is not stored.
        clock: for these.
        server_name: of this one.
    """

    def __init__(
        self, *, database: Database, sharing: Sharing, remote: RemoteAnswers,
        publish: Callable[[Sequence[Change]], None], snowflakes: SnowflakeClock, clock: Clock,
        server_name: str,
    ) -> None:  # fmt: skip
        self._database = database
        self._sharing = sharing
        self._remote = remote
        self._publish = publish
        self._snowflakes = snowflakes
        self._clock = clock
        self._server_name = server_name

    async def add(
        self, user_id: str, device_id: str, one_time: Mapping[str, Any], fallback: Mapping[str, Any]
    ) -> None:
        """Add one-time keys to a device and set its fallback keys; durable on return.

        A key that is there already is no matter. One transaction of six statements at most.

        Raises:
            BadJson: a key is not in the form of one.
            InvalidParam: another key has the same ID, a name is none, or the device has too many keys.
            TooLarge: a key is.
            UnknownToken: the device was deleted.
        """
        keys = named_keys(one_time, "one_time_keys")
        fallback_keys = named_keys(fallback, "fallback_keys")
        if len({algorithm for algorithm, _ in fallback_keys}) < len(fallback_keys):
            raise InvalidParam("fallback_keys: there can be one key for each algorithm.")
        if not keys and not fallback_keys:
            return
        async with self._database.transaction() as transaction:
            if not await device_keys.lock_device(transaction, user_id, device_id):
                raise UnknownToken("This session has ended; log in again.")
            if keys:
                await _add_new(transaction, user_id, device_id, keys)
            if fallback_keys:
                await stored.set_fallback(transaction, user_id, device_id, fallback_keys)
        self._tell({(user_id, device_id)})

    async def counts(self, user_id: str, device_id: str) -> KeyCounts:
        """Tell what a device has left; one statement."""
        return await stored.counts(self._database, user_id, device_id)

    async def claim(
        self, requester: Requester, asked: Mapping[str, Mapping[str, str]], *, timeout_ms: int
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Hand out a key of each of some devices; no one-time key is ever handed out twice.

        One statement for all devices of this server, two more where only users in shared rooms may be
        asked for.

        Args:
            requester: who asks.
            asked: user ID to device ID to algorithm.
            timeout_ms: how long to wait for other servers.

        Returns:
            What `one_time_keys` and `failures` are in the response to `keys/claim`.

        Raises:
            InvalidParam: too many are asked for, or what is no ID.
        """
        if sum(map(len, asked.values())) > DEVICES_PER_CLAIM_MAX:
            raise InvalidParam(f"Claim keys of at most {DEVICES_PER_CLAIM_MAX} devices in one request.")
        parted = parted_by_server(asked, self._server_name)
        own = parted.pop(self._server_name, {})
        visible = await self._sharing.visible(requester.user_id, own)
        told = await self.claim_own({user_id: own[user_id] for user_id in visible})
        failures = await self._remote.claim(parted, told, timeout_ms) if parted else {}
        return told, failures

    async def claim_own(self, asked: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
        """Hand out keys of devices of this server, whoever asks."""
        wanted = [
            (user_id, device_id, algorithm)
            for user_id, devices in asked.items()
            for device_id, algorithm in devices.items()
        ]
        for _, device_id, algorithm in wanted:
            check_name(device_id, "one_time_keys: a device ID")
            check_name(algorithm, "one_time_keys: an algorithm")
        told: dict[str, Any] = {}
        claimed = await stored.claim(self._database, wanted) if wanted else ()
        for one in claimed:
            name = f"{one.algorithm}:{one.key_id}"
            told.setdefault(one.user_id, {})[one.device_id] = {name: orjson.loads(one.key)}
        self._tell({(one.user_id, one.device_id) for one in claimed if one.is_news})
        return told

    def _tell(self, devices: set[tuple[str, str]]) -> None:
        if devices:
            now_ms = self._clock.now_ms()
            self._publish(
                [KeyCountsChange(self._snowflakes.next(now_ms), *device) for device in sorted(devices)]
            )


async def _add_new(
    transaction: Transaction, user_id: str, device_id: str, keys: dict[tuple[str, str], bytes]
) -> None:
    """Add those that are not there; the device is locked."""
    for name, key in (await stored.clashes(transaction, user_id, device_id, keys)).items():
        if keys.pop(name) != key:
            raise InvalidParam(f"One-time key {':'.join(name)} already exists, and is another one.")
    if not keys:
        return
    count = await stored.count(transaction, user_id, device_id)
    if count + len(keys) > KEYS_PER_DEVICE_MAX:
        raise InvalidParam(f"A device can have at most {KEYS_PER_DEVICE_MAX} one-time keys here.")
    await stored.add(transaction, user_id, device_id, keys)
