"""Table family `accounts`: what an account is beside usable, and what goes when it is deactivated."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "AccountState", "SeenRow", "departing", "find", "has_departed", "note_seen", "seen_of", "sessions_of",
    "set_locked", "set_suspended", "strip",
]  # fmt: skip

# What only its user could use. Devices, with their keys and tokens, go on their own way.
_STRIPPED = (
    "DELETE FROM account_threepids WHERE user_id = %s",
    "DELETE FROM short_lived_tokens WHERE user_id = %s",
    "DELETE FROM cross_signing_keys WHERE user_id = %s",
    "DELETE FROM key_signatures WHERE user_id = %s",
    # Their keys, which may be very many, go in the background.
    "UPDATE key_backups SET is_deleted = true WHERE user_id = %s",
    # Which makes it a device like the others, that are deleted next.
    "DELETE FROM dehydrated_devices WHERE user_id = %s",
    "DELETE FROM account_data WHERE user_id = %s",
    "DELETE FROM filters WHERE user_id = %s",
    "DELETE FROM thread_subscriptions WHERE user_id = %s",
)


@dataclass(frozen=True, slots=True)
class AccountState:
    """What an account is.

    Attributes:
        is_admin: may use the admin API.
        is_guest: has no password and may do little.
        is_locked: may only log out.
        is_suspended: may read and leave, and not send, join or invite.
        is_deactivated: is gone for good.
    """

    is_admin: bool
    is_guest: bool
    is_locked: bool
    is_suspended: bool
    is_deactivated: bool


@dataclass(frozen=True, slots=True)
class SeenRow:
    """When a session was last used.

    Attributes:
        device_id: on which device.
        seen_ms: None: not since it is noted.
        address: IP address.
        agent: of the client.
    """

    device_id: str
    seen_ms: int | None
    address: str | None
    agent: str | None


async def find(queries: Queries, user_id: str) -> AccountState | None:
    """What the account is; None if there is none."""
    row = await queries.fetch_one(
        "SELECT is_admin, is_guest, is_locked, is_suspended, deactivated_ms IS NOT NULL"
        " FROM accounts WHERE user_id = %s",
        user_id,
    )
    return None if row is None else AccountState(*row)


async def set_locked(queries: Queries, user_id: str, *, is_locked: bool) -> None:
    """Lock or unlock an account."""
    await queries.execute("UPDATE accounts SET is_locked = %s WHERE user_id = %s", is_locked, user_id)


async def set_suspended(queries: Queries, user_id: str, *, is_suspended: bool) -> None:
    """Suspend an account, or end that."""
    await queries.execute("UPDATE accounts SET is_suspended = %s WHERE user_id = %s", is_suspended, user_id)


async def sessions_of(queries: Queries, user_id: str) -> list[int]:
    """The sessions of a user."""
    rows = await queries.fetch("SELECT session_id FROM device_sessions WHERE user_id = %s", user_id)
    return [session_id for (session_id,) in rows]


async def strip(queries: Queries, user_id: str, now_ms: int, *, clears_profile: bool) -> bool:
    """Deactivate an account; False if it is already.

    Args:
        queries: a transaction.
        user_id: whose.
        now_ms: when.
        clears_profile: forget name, avatar and all other fields too.
    """
    updated = await queries.execute(
        "UPDATE accounts SET deactivated_ms = %s, is_departing = true, password_hash = NULL, is_admin = false"
        " WHERE user_id = %s AND deactivated_ms IS NULL",
        now_ms, user_id,
    )  # fmt: skip
    if updated != 1:
        return False
    for statement in _STRIPPED:
        await queries.execute(statement, user_id)
    if clears_profile:
        await queries.execute(
            "UPDATE profiles SET displayname = NULL, avatar_url = NULL, custom_fields = '\\x7b7d'"
            " WHERE user_id = %s",
            user_id,
        )
    return True


async def departing(queries: Queries) -> list[str]:
    """Deactivated users who may still be in some rooms."""
    rows = await queries.fetch("SELECT user_id FROM accounts WHERE is_departing ORDER BY user_id")
    return [user_id for (user_id,) in rows]


async def has_departed(queries: Queries, user_id: str) -> None:
    """Note that a user is in no room any more."""
    await queries.execute("UPDATE accounts SET is_departing = false WHERE user_id = %s", user_id)


async def note_seen(queries: Queries, seen: Sequence[tuple[int, int, str, str]]) -> None:
    """Note when sessions were last used: session, when, from which address, with which client."""
    session_ids, times_ms, addresses, agents = (list(column) for column in zip(*seen, strict=True))
    await queries.execute(
        "UPDATE device_sessions SET seen_ms = seen.ms, seen_address = seen.address, seen_agent = seen.agent"
        " FROM unnest(%s::bigint[], %s::bigint[], %s::text[], %s::text[])"
        " AS seen (session_id, ms, address, agent) WHERE device_sessions.session_id = seen.session_id",
        session_ids, times_ms, addresses, agents,
    )  # fmt: skip


async def seen_of(queries: Queries, user_id: str) -> list[SeenRow]:
    """When the sessions of a user were last used, by device."""
    rows = await queries.fetch(
        "SELECT device_id, seen_ms, seen_address, seen_agent FROM device_sessions WHERE user_id = %s"
        " ORDER BY device_id",
        user_id,
    )
    return [SeenRow(*row) for row in rows]
