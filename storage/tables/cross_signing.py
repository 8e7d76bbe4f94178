"""Table families `cross_signing_keys` and `key_signatures`: users' own signing keys, and what they signed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "CrossSigningKey", "Signature", "add_signatures", "are_devices", "forget_signatures_of", "is_key", "lock",
    "of_user", "replace", "signature_count",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CrossSigningKey:
    """One of a user's signing keys.

    Attributes:
        public_key: unpadded base64.
        key: the object as it was uploaded, canonical JSON.
    """

    public_key: str
    key: bytes


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of a key.

    Attributes:
        user_id: whose key is signed.
        target: its device ID or public key.
        signer_id: who signed.
        signer_key_id: with which key, e.g. `ed25519:ABC`.
        signature: unpadded base64.
    """

    user_id: str
    target: str
    signer_id: str
    signer_key_id: str
    signature: str


async def lock(queries: Queries, user_id: str) -> bool:
    """Lock a user's signing keys until the commit, also where there are none; whether the user is there."""
    row = await queries.fetch_one("SELECT 1 FROM accounts WHERE user_id = %b FOR NO KEY UPDATE", user_id)
    return row is not None


async def of_user(queries: Queries, user_id: str) -> dict[str, CrossSigningKey]:
    """Read a user's signing keys by usage."""
    rows = await queries.fetch(
        "SELECT usage, public_key, key FROM cross_signing_keys WHERE user_id = %b", user_id
    )
    return {usage: CrossSigningKey(public_key, key) for usage, public_key, key in rows}


async def are_devices(queries: Queries, user_id: str, public_keys: Sequence[str]) -> bool:
    """Tell whether one of these is the ID of one of the user's devices."""
    row = await queries.fetch_one(
        "SELECT 1 FROM devices WHERE user_id = %b AND device_id = ANY(%b::text[])", user_id, list(public_keys)
    )
    return row is not None


async def is_key(queries: Queries, user_id: str, public_key: str) -> bool:
    """Tell whether this is the public key of one of the user's signing keys."""
    row = await queries.fetch_one(
        "SELECT 1 FROM cross_signing_keys WHERE user_id = %b AND public_key = %b", user_id, public_key
    )
    return row is not None


async def replace(
    queries: Queries, user_id: str, new: Mapping[str, CrossSigningKey], gone: Mapping[str, CrossSigningKey]
) -> None:
    """Forget signing keys by usage, with all signatures of them and by them, and set others."""
    kept = {key.public_key for key in new.values()}
    stale = [key.public_key for key in gone.values() if key.public_key not in kept]
    if gone:
        await queries.execute(
            "WITH gone AS (DELETE FROM cross_signing_keys WHERE user_id = %b AND usage = ANY(%b::text[]))"
            " DELETE FROM key_signatures WHERE (user_id = %b AND target = ANY(%b::text[]))"
            " OR (signer_id = %b AND signer_key_id = ANY(%b::text[]))",
            user_id, list(gone), user_id, stale, user_id, [f"ed25519:{public_key}" for public_key in stale],
        )  # fmt: skip
    await queries.execute(
        "INSERT INTO cross_signing_keys (user_id, usage, public_key, key)"
        " SELECT %b, * FROM unnest(%b::text[], %b::text[], %b::bytea[])",
        user_id, list(new), [key.public_key for key in new.values()], [key.key for key in new.values()],
    )  # fmt: skip


async def forget_signatures_of(queries: Queries, user_id: str, device_ids: Sequence[str]) -> None:
    """Forget all signatures of and by devices of a user, which are deleted or have new keys."""
    await queries.execute(
        "DELETE FROM key_signatures WHERE (user_id = %b AND target = ANY(%b::text[]))"
        " OR (signer_id = %b AND signer_key_id = ANY(%b::text[]))",
        user_id, list(device_ids), user_id, [f"ed25519:{device_id}" for device_id in device_ids],
    )  # fmt: skip


async def signature_count(queries: Queries, signer_id: str) -> int:
    """Count what a user has signed."""
    row = await queries.fetch_one("SELECT count(*) FROM key_signatures WHERE signer_id = %b", signer_id)
    return 0 if row is None else row[0]


async def add_signatures(queries: Queries, signatures: Sequence[Signature]) -> set[tuple[str, str]]:
    """Add signatures; returns (user ID, target) of those that were not there like this."""
    rows = await queries.fetch(
        "INSERT INTO key_signatures AS stored (user_id, target, signer_id, signer_key_id, signature)"
        " SELECT * FROM unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[])"
        " ON CONFLICT (user_id, target, signer_id, signer_key_id)"
        " DO UPDATE SET signature = excluded.signature"
        " WHERE stored.signature <> excluded.signature RETURNING user_id, target",
        [one.user_id for one in signatures], [one.target for one in signatures],
        [one.signer_id for one in signatures], [one.signer_key_id for one in signatures],
        [one.signature for one in signatures],
    )  # fmt: skip
    return {(user_id, target) for user_id, target in rows}
