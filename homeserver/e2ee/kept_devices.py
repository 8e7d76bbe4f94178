"""The devices of users of other servers that are kept here: asked first, so that their servers need not be.

Spec: https://spec.matrix.org/v1.19/server-server-api/#device-management
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from storage.pool import Database
from storage.tables import remote_devices
from storage.tables.remote_devices import KeptKeys

__all__ = ["KeptDevices"]


class KeptDevices:
    """Answers what is kept and up to date, and says what had better be kept.

    Args:
        database: where they are.

    Attributes:
        wanted: set when there are lists to be read.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.wanted = asyncio.Event()

    async def answer(
        self, parted: Mapping[str, Mapping[str, list[str]]], told: Mapping[str, dict[str, Any]]
    ) -> dict[str, dict[str, list[str]]]:
        """Add the keys of users of other servers that are kept to what is told; one statement.

        Args:
            parted: server name to user ID to device IDs; none: all.
            told: the sections of the response to `keys/query`.

        Returns:
            What is left to be asked, in the form of `parted`.
        """
        asked = {user_id: ids for users in parted.values() for user_id, ids in users.items()}
        found = await remote_devices.fresh(self._database, asked)
        for one in found:
            _tell(one, asked[one.user_id], told)
        known = {one.user_id for one in found}
        return {
            server_name: left
            for server_name, users in parted.items()
            if (left := {user_id: ids for user_id, ids in users.items() if user_id not in known})
        }

    async def want(self, user_ids: Iterable[str]) -> None:
        """Have the lists kept of those of some users who share a room with ours; one statement."""
        if await remote_devices.begin(self._database, list(user_ids)):
            self.wanted.set()

    async def add_signatures(
        self, signer_id: str, user_ids: Iterable[str], told: Mapping[str, dict[str, Any]]
    ) -> None:
        """Add what a user of this server signed of other servers' users' master keys; one statement."""
        masters = {user_id: told["master_keys"].get(user_id) for user_id in user_ids}
        users = [user_id for user_id, key in masters.items() if isinstance(key, dict)]
        if not users:
            return
        rows = await remote_devices.own_signatures(self._database, signer_id, users)
        for user_id, public_key, signer_key_id, signature in rows:
            master: dict[str, Any] = told["master_keys"][user_id]
            keys, signatures = master.get("keys"), master.setdefault("signatures", {})
            if isinstance(keys, dict) and public_key in keys.values() and isinstance(signatures, dict):
                signatures.setdefault(signer_id, {})[signer_key_id] = signature


def _tell(kept: KeptKeys, device_ids: list[str], told: Mapping[str, dict[str, Any]]) -> None:
    devices = told["device_keys"].setdefault(kept.user_id, {})
    for device in kept.devices:
        if device.keys is None or (device_ids and device.device_id not in device_ids):
            continue
        name = device.display_name
        unsigned = {} if name is None else {"device_display_name": name}
        devices[device.device_id] = {**orjson.loads(device.keys), "unsigned": unsigned}
    for section, key in (("master_keys", kept.master_key), ("self_signing_keys", kept.self_signing_key)):
        if key is not None:
            told[section][kept.user_id] = orjson.loads(key)
