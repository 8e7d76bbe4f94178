"""Device keys: what a device is known by; and what is known of the keys of users.

Spec: https://spec.matrix.org/v1.19/client-server-api/#device-keys
"""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from homeserver.core.errors import Forbidden, InvalidParam, UnknownToken
from homeserver.core.public_keys import MASTER, SELF_SIGNING, USER_SIGNING, check_name, device_keys
from homeserver.core.requester import Requester
from homeserver.e2ee.device_lists import DeviceLists
from homeserver.e2ee.kept_devices import KeptDevices
from homeserver.e2ee.remote_keys import RemoteAnswers, parted_by_server
from homeserver.e2ee.sharing import Sharing
from storage.pool import Database
from storage.tables import cross_signing, device_lists
from storage.tables import device_keys as stored
from storage.tables.device_keys import DEVICE, SIGNATURE, KeyRow

__all__ = ["DeviceKeys"]

USERS_PER_QUERY_MAX = 10_000
DEVICES_PER_QUERY_MAX = 50_000

_SECTIONS = {MASTER: "master_keys", SELF_SIGNING: "self_signing_keys", USER_SIGNING: "user_signing_keys"}
_TAKEN = "The device has the ID of one of your cross-signing keys: log in again to get another one."
_GONE = "This session has ended; log in again."


class DeviceKeys:
    """Takes and tells identity keys.

    Args:
        database: where they are.
        device_lists: tells those who share a room with the user.
        sharing: whose keys may be asked for.
        remote: asks other servers.
        kept: what is known of their users.
        server_name: of this one.
    """

    def __init__(
        self, *, database: Database, device_lists: DeviceLists, sharing: Sharing, remote: RemoteAnswers,
        kept: KeptDevices, server_name: str,
    ) -> None:  # fmt: skip
        self._database = database
        self._device_lists = device_lists
        self._sharing = sharing
        self._remote = remote
        self._kept = kept
        self._server_name = server_name

    @staticmethod
    def check(user_id: str, device_id: str, keys: Mapping[str, Any]) -> bytes:
        """Check and encode the identity keys of a device.

        Raises:
            BadJson: they are not in the form of device keys.
            InvalidParam: they are of another user or device.
            InvalidSignature: the device has not signed them.
            TooLarge: they are.
        """
        return device_keys(keys, user_id, device_id)

    async def set(self, user_id: str, device_id: str, encoded: bytes) -> None:
        """Set the identity keys of a device; those who share a room with the user are told if they are new.

        One statement where nothing changes; else one transaction of five at most, and a flush of the journal.

        Args:
            user_id: whose.
            device_id: of which device.
            encoded: what `check` returned.

        Raises:
            Forbidden: the device's ID is one of the user's cross-signing keys.
            UnknownToken: the device was deleted.
        """
        if await stored.find(self._database, user_id, device_id) == encoded:
            return
        async with self._database.transaction() as transaction:
            if not await stored.lock_device(transaction, user_id, device_id):
                raise UnknownToken(_GONE)
            if await cross_signing.is_key(transaction, user_id, device_id):
                raise Forbidden(_TAKEN)
            await cross_signing.forget_signatures_of(transaction, user_id, [device_id])
            await stored.put(transaction, user_id, device_id, encoded)
            noted = await device_lists.note(transaction, [(user_id, None)])
        await self._device_lists.announce(noted)

    async def query(
        self, requester: Requester, asked: Mapping[str, list[str]], *, timeout_ms: int,
        is_decoded: bool = False,
    ) -> dict[str, dict[str, Any]]:  # fmt: skip
        """Tell the devices and keys of users, as the response to `keys/query` has them.

        One statement for all users of this server; two more where only those in shared rooms may be asked.

        Args:
            requester: who asks.
            asked: user ID to device IDs; an empty list for all devices.
            timeout_ms: how long to wait for other servers.
            is_decoded: keys are objects; else those that are told as they were uploaded are encoded.

        Raises:
            InvalidParam: too many are asked for, or what is no user or device ID.
        """
        if len(asked) > USERS_PER_QUERY_MAX or sum(map(len, asked.values())) > DEVICES_PER_QUERY_MAX:
            raise InvalidParam(f"Ask for at most {USERS_PER_QUERY_MAX} users in one request.")
        parted = parted_by_server(asked, self._server_name)
        own = parted.pop(self._server_name, {})
        told = await self.of_own_users(requester, own, is_decoded=is_decoded)
        if parted:
            left = await self._kept.answer(parted, told)
            if left:
                told["failures"] = await self._remote.query(left, told, timeout_ms)
                await self._kept.want(user_id for users in left.values() for user_id in users)
            remote = [user_id for users in parted.values() for user_id in users]
            await self._kept.add_signatures(requester.user_id, remote, told)
        return told

    async def query_for_server(
        self, origin: str, asked: Mapping[str, list[str]]
    ) -> dict[str, dict[str, Any]]:
        """Tell the devices and keys of users of this server as another server is told; two statements.

        What users call their devices is nobody's business elsewhere.

        Args:
            origin: which server asks.
            asked: user ID to device IDs; an empty list for all devices.

        Raises:
            InvalidParam: too many are asked for, or what is no device ID.
        """
        if len(asked) > USERS_PER_QUERY_MAX or sum(map(len, asked.values())) > DEVICES_PER_QUERY_MAX:
            raise InvalidParam(f"Ask for at most {USERS_PER_QUERY_MAX} users in one request.")
        visible = await self._sharing.visible_to_server(origin, list(asked))
        told = await self._told(visible, asked, reader_id="", is_decoded=False, is_named=False)
        return {name: told[name] for name in ("device_keys", "master_keys", "self_signing_keys")}

    async def list_for_server(self, user_id: str) -> dict[str, Any]:
        """Tell all devices of a user of this server as its list is told to other servers; two statements.

        Returns:
            The response to `user/devices`; keys are objects.
        """
        # First how far it is, then what is there: at worst the next update is told twice.
        stream_id = await device_lists.stream_id(self._database, user_id)
        told = await self._told([user_id], {user_id: []}, reader_id="", is_decoded=True, is_named=False)
        body: dict[str, Any] = {
            "user_id": user_id,
            "stream_id": stream_id,
            "devices": [
                {"device_id": device_id, "keys": keys}
                for device_id, keys in told["device_keys"][user_id].items()
            ],
        }
        for usage in (MASTER, SELF_SIGNING):
            if (key := told[_SECTIONS[usage]].get(user_id)) is not None:
                body[f"{usage}_key"] = key
        return body

    async def of_own_users(
        self, requester: Requester, asked: Mapping[str, list[str]], *, is_decoded: bool = False
    ) -> dict[str, dict[str, Any]]:
        """Tell what `query` tells of users of this server.

        Args:
            requester: who asks.
            asked: user ID to device IDs.
            is_decoded: keys are objects; else those that are told as they were uploaded are encoded.
        """
        visible = await self._sharing.visible(requester.user_id, asked)
        return await self._told(visible, asked, reader_id=requester.user_id, is_decoded=is_decoded)

    async def _told(
        self, visible: list[str], asked: Mapping[str, list[str]], *, reader_id: str, is_decoded: bool,
        is_named: bool = True,
    ) -> dict[str, dict[str, Any]]:  # fmt: skip
        told: dict[str, dict[str, Any]] = {
            "device_keys": {}, "failures": {}, "master_keys": {}, "self_signing_keys": {},
            "user_signing_keys": {},
        }  # fmt: skip
        for device_ids in asked.values():
            for device_id in device_ids:
                check_name(device_id, "device_keys: a device ID")
        if not visible:
            return told
        told["device_keys"].update((user_id, {}) for user_id in visible)
        rows = await stored.of_users(self._database, visible, reader_id)
        signatures: dict[tuple[str, str], list[KeyRow]] = {}
        for row in rows:
            if row[0] == SIGNATURE:
                signatures.setdefault((row[1], row[2]), []).append(row)
        for kind, user_id, name, key, display_name, _, _ in rows:
            if kind == SIGNATURE:
                continue
            signed = signatures.get((user_id, name), ())
            is_device = kind == DEVICE
            if is_device and asked[user_id] and name not in asked[user_id]:
                continue
            unsigned = _unsigned(display_name if is_named else None) if is_device else None
            shown = _decoded(key, signed, unsigned) if is_decoded or signed else _encoded(key, unsigned)
            if is_device:
                told["device_keys"][user_id][name] = shown
            else:
                told[_SECTIONS[kind]][user_id] = shown
        return told


def _unsigned(display_name: str | None) -> dict[str, str]:
    return {} if display_name is None else {"device_display_name": display_name}


def _encoded(key: bytes, unsigned: dict[str, str] | None) -> orjson.Fragment:
    if unsigned is None:
        return orjson.Fragment(key)
    return orjson.Fragment(b'%b,"unsigned":%b}' % (key[:-1], orjson.dumps(unsigned)))


def _decoded(key: bytes, signed: Iterable[KeyRow], unsigned: dict[str, str] | None) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(key)
    for _, _, _, _, signature, signer_id, signer_key_id in signed:
        signatures = found.setdefault("signatures", {})
        signatures.setdefault(signer_id, {})[signer_key_id] = signature
    if unsigned is not None:
        found["unsigned"] = unsigned
    return found
