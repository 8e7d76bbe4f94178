"""Signatures of keys: users sign their devices, and the master keys of others whom they have verified.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keyssignaturesupload
"""

from collections.abc import Mapping
from typing import Any

from homeserver.core.errors import InvalidParam, InvalidSignature, MatrixError, NotFound
from homeserver.core.public_keys import is_signed_by, same_but_signatures
from homeserver.core.requester import Requester
from homeserver.e2ee.device_keys import DeviceKeys
from homeserver.e2ee.device_lists import DeviceLists
from storage.pool import Database
from storage.tables import cross_signing, device_lists
from storage.tables.cross_signing import Signature

__all__ = ["Signatures"]

KEYS_PER_REQUEST_MAX = 500
SIGNATURES_PER_USER_MAX = 50_000
REMOTE_TIMEOUT_MS = 10_000
_ED25519 = "ed25519:"

Told = Mapping[str, Mapping[str, Any]]


class Signatures:
    """Takes signatures of keys.

    Args:
        database: where they are.
        device_keys: knows what is signed, and with what.
        device_lists: tells those who see a signature.
    """

    def __init__(self, *, database: Database, device_keys: DeviceKeys, device_lists: DeviceLists) -> None:
        self._database = database
        self._device_keys = device_keys
        self._device_lists = device_lists

    async def upload(
        self, requester: Requester, signed: Mapping[str, Mapping[str, Any]]
    ) -> dict[str, dict[str, Any]]:
        """Take signatures that the user made; each is checked.

        Signatures of the user's own keys are shown to everybody, and those of others' master keys to the user
        alone. One statement to look up the keys, two in a transaction, and a flush of the journal.

        Args:
            requester: who signed.
            signed: user ID to device ID, or public key, to the key as it is with the new signatures.

        Returns:
            The errors, by user ID and device ID or public key.

        Raises:
            InvalidParam: these are too many, or what is no user ID.
        """
        if sum(map(len, signed.values())) > KEYS_PER_REQUEST_MAX:
            raise InvalidParam(f"Upload signatures of at most {KEYS_PER_REQUEST_MAX} keys in one request.")
        users: dict[str, list[str]] = {user_id: [] for user_id in (*signed, requester.user_id)}
        told = await self._device_keys.query(requester, users, timeout_ms=REMOTE_TIMEOUT_MS, is_decoded=True)
        failures: dict[str, dict[str, Any]] = {}
        found: list[Signature] = []
        for user_id, keys in signed.items():
            for target, value in keys.items():
                try:
                    found += _signatures_of(requester.user_id, (user_id, target), value, told)
                except MatrixError as error:
                    failures.setdefault(user_id, {})[target] = error.body()
        if found:
            await self._store(requester.user_id, found)
        return failures

    async def _store(self, signer_id: str, found: list[Signature]) -> None:
        async with self._database.transaction() as transaction:
            await cross_signing.lock(transaction, signer_id)
            count = await cross_signing.signature_count(transaction, signer_id)
            if count + len(found) > SIGNATURES_PER_USER_MAX:
                raise InvalidParam(f"At most {SIGNATURES_PER_USER_MAX} signatures of one user are kept.")
            changed = {user_id for user_id, _ in await cross_signing.add_signatures(transaction, found)}
            changes = [(user_id, None if user_id == signer_id else signer_id) for user_id in sorted(changed)]
            noted = await device_lists.note(transaction, changes) if changes else []
        await self._device_lists.announce(noted)


def _signatures_of(signer_id: str, name: tuple[str, str], value: object, told: Told) -> list[Signature]:
    """Check the signatures that a user made of one key; those by keys that may not sign it do not count."""
    user_id, target = name
    if not isinstance(value, dict):
        raise InvalidParam("A signed key must be a JSON object.")
    known, signers = _known(signer_id, user_id, target, told)
    if known is None:
        raise NotFound("No such key is known here that you could sign.")
    if not same_but_signatures(value, known):
        raise InvalidParam("This is not the key as it is known here: ask for it again.")
    signatures = value.get("signatures")
    own = signatures.get(signer_id) if isinstance(signatures, dict) else None
    found = []
    for key_id, signature in own.items() if isinstance(own, dict) else ():
        key_name = key_id.removeprefix(_ED25519)
        if key_id == _ED25519 + key_name and key_name in signers:
            if not is_signed_by(value, signer_id, key_name, signers[key_name]):
                raise InvalidSignature(f"The signature with {key_id} is not valid.")
            found.append(Signature(user_id, target, signer_id, key_id, signature))
    if not found:
        raise InvalidSignature("There is no signature with a key of yours that may sign this one.")
    return found


def _known(signer_id: str, user_id: str, target: str, told: Told) -> tuple[Any, dict[str, str]]:
    """Find the key that is signed, and those that may sign it, by name."""
    devices = told["device_keys"].get(user_id) or {}
    if user_id == signer_id and target in devices:
        return devices[target], _named(told["self_signing_keys"].get(signer_id))
    master = told["master_keys"].get(user_id)
    if not isinstance(master, dict) or target not in _named(master):
        return None, {}
    if user_id != signer_id:
        return master, _named(told["user_signing_keys"].get(signer_id))
    return master, {
        device_id: keys["keys"][_ED25519 + device_id]
        for device_id, keys in devices.items()
        if _ED25519 + device_id in keys["keys"]
    }


def _named(key: Any) -> dict[str, str]:
    """A cross-signing key by what follows `ed25519:` in its ID, which is the key itself."""
    keys = key.get("keys") if isinstance(key, dict) else None
    if not isinstance(keys, dict):
        return {}
    return {key_id.removeprefix(_ED25519): public_key for key_id, public_key in keys.items()}
