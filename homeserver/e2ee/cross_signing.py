"""Cross-signing: users have keys of their own, with which they sign their devices and each other.

Spec: https://spec.matrix.org/v1.19/client-server-api/#cross-signing
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from homeserver.core.errors import Forbidden, InvalidSignature, MissingParam, UnknownToken
from homeserver.core.public_keys import MASTER, SELF_SIGNING, USER_SIGNING, cross_signing_key, is_signed_by
from homeserver.e2ee.device_lists import DeviceLists
from storage.pool import Database, Transaction
from storage.tables import cross_signing as stored
from storage.tables import device_lists
from storage.tables.cross_signing import CrossSigningKey

__all__ = ["USAGES", "CrossSigning"]

USAGES = (MASTER, SELF_SIGNING, USER_SIGNING)

Keys = Mapping[str, CrossSigningKey]


class CrossSigning:
    """Takes cross-signing keys.

    Args:
        database: where they are.
        device_lists: tells those who share a room with the user.
    """

    def __init__(self, *, database: Database, device_lists: DeviceLists) -> None:
        self._database = database
        self._device_lists = device_lists

    async def upload(
        self, user_id: str, given: Mapping[str, Mapping[str, Any]], confirm: Callable[[], Awaitable[object]]
    ) -> None:
        """Set cross-signing keys; those who share a room with the user are told if there are new ones.

        The first set is taken as it comes, and the same again changes nothing; to set others, the user must
        confirm. One statement where nothing changes; else one transaction of six at most, and a flush.

        Args:
            user_id: whose.
            given: `master`, `self_signing` and `user_signing`, those that are given.
            confirm: has the user show once more that they are who they are; raises if they do not.

        Raises:
            BadJson: a key is not in the form of one.
            Forbidden: a public key is the ID of one of the user's devices.
            InvalidParam: a key is another user's, or for another use.
            InvalidSignature: a key is not signed by the master key.
            MissingParam: there is no master key.
        """
        keys = {
            usage: CrossSigningKey(*cross_signing_key(key, user_id, usage)) for usage, key in given.items()
        }
        before = await stored.of_user(self._database, user_id)
        if not _new(keys, before):
            if not keys and MASTER not in before:
                raise MissingParam("Give a master_key.")
            return
        self._check(user_id, keys, before, given)
        if MASTER in before:
            await confirm()
        async with self._database.transaction() as transaction:
            noted = await self._replace(transaction, user_id, keys, before)
        await self._device_lists.announce(noted)

    @staticmethod
    def _check(user_id: str, keys: Keys, before: Keys, given: Mapping[str, Mapping[str, Any]]) -> None:
        master = keys.get(MASTER) or before.get(MASTER)
        if master is None:
            raise MissingParam("Give a master_key: there is none yet to sign the others.")
        for usage, value in given.items():
            if usage != MASTER and not is_signed_by(value, user_id, master.public_key, master.public_key):
                raise InvalidSignature(f"{usage}_key is not signed by the master key.")

    @staticmethod
    async def _replace(
        transaction: Transaction, user_id: str, keys: Keys, seen: Keys
    ) -> list[device_lists.Noted]:
        if not await stored.lock(transaction, user_id):
            raise UnknownToken("This account is no more.")
        before = await stored.of_user(transaction, user_id)
        if before != seen:
            # What was checked, and perhaps confirmed, was about other keys than these.
            raise Forbidden("Your cross-signing keys were changed by another session just now: look again.")
        if await stored.are_devices(transaction, user_id, [key.public_key for key in keys.values()]):
            raise Forbidden("One of these keys is the ID of one of your devices.")
        new = _new(keys, before)
        gone = {usage: key for usage, key in before.items() if usage in new}
        if MASTER in gone:
            # What the old master key signed is no good with the new one; what that has signed anew stays.
            new, gone = dict(keys), dict(before)
        await stored.replace(transaction, user_id, new, gone)
        # Only the user is shown the user-signing key.
        told_to = user_id if new.keys() == {USER_SIGNING} else None
        return await device_lists.note(transaction, [(user_id, told_to)])


def _new(keys: Keys, before: Keys) -> dict[str, CrossSigningKey]:
    """Those keys that are not there yet; the same key is the same, however it is signed."""
    return {
        usage: key
        for usage, key in keys.items()
        if usage not in before
        or before[usage].public_key != key.public_key
        or orjson.loads(before[usage].key)["usage"] != orjson.loads(key.key)["usage"]
    }
