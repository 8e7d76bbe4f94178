"""Table family `accounts`: the local accounts, and the tokens that let people register."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "AccountRow", "create", "create_registration_token", "exists", "find", "has_registration_token",
    "make_of_guest", "set_password_hash", "use_registration_token",
]  # fmt: skip

_MAY_BE_USED = "(expires_ms IS NULL OR expires_ms > %s) AND (uses_max IS NULL OR uses < uses_max)"


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One local account.

    Attributes:
        user_id: full Matrix user ID.
        password_hash: argon2id in its usual text form; None if there is no password.
        is_admin: may use the admin API.
        user_type: a word of the admin API, such as `bot`.
        created_ms: when.
        is_guest: has no password and may do little.
    """

    user_id: str
    password_hash: str | None
    is_admin: bool
    user_type: str | None
    created_ms: int
    is_guest: bool = False


async def create(queries: Queries, account: AccountRow) -> bool:
    """Insert an account; False if its user ID is taken."""
    inserted = await queries.execute(
        "INSERT INTO accounts (user_id, password_hash, is_admin, user_type, created_ms, is_guest)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        account.user_id, account.password_hash, account.is_admin, account.user_type, account.created_ms,
        account.is_guest,
    )  # fmt: skip
    return inserted == 1


async def find(queries: Queries, user_id: str) -> AccountRow | None:
    """The account of a user, if there is one."""
    row = await queries.fetch_one(
        "SELECT user_id, password_hash, is_admin, user_type, created_ms, is_guest FROM accounts"
        " WHERE user_id = %s",
        user_id,
    )
    return None if row is None else AccountRow(*row)


async def exists(queries: Queries, user_id: str) -> bool:
    """Whether the user ID is taken."""
    return await queries.fetch_one("SELECT 1 FROM accounts WHERE user_id = %s", user_id) is not None


async def set_password_hash(queries: Queries, user_id: str, password_hash: str | None) -> None:
    """Replace the password."""
    await queries.execute(
        "UPDATE accounts SET password_hash = %s WHERE user_id = %s", password_hash, user_id
    )


async def make_of_guest(queries: Queries, user_id: str, password_hash: str) -> bool:
    """Make a guest's account a user's; False if it is no guest's."""
    updated = await queries.execute(
        "UPDATE accounts SET is_guest = false, password_hash = %s WHERE user_id = %s AND is_guest",
        password_hash, user_id,
    )  # fmt: skip
    return updated == 1


async def create_registration_token(
    queries: Queries, token: str, *, uses_max: int | None, expires_ms: int | None, now_ms: int
) -> bool:
    """Insert a registration token; False if there is one of that text."""
    inserted = await queries.execute(
        "INSERT INTO registration_tokens (token, uses_max, expires_ms, created_ms)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        token, uses_max, expires_ms, now_ms,
    )  # fmt: skip
    return inserted == 1


async def has_registration_token(queries: Queries, token: str, now_ms: int) -> bool:
    """Whether the token would let somebody register now."""
    sql = f"SELECT 1 FROM registration_tokens WHERE token = %s AND {_MAY_BE_USED}"
    return await queries.fetch_one(sql, token, now_ms) is not None


async def use_registration_token(queries: Queries, token: str, now_ms: int) -> bool:
    """Count one use of the token; False if it may not be used any more."""
    sql = f"UPDATE registration_tokens SET uses = uses + 1 WHERE token = %s AND {_MAY_BE_USED}"
    return await queries.execute(sql, token, now_ms) == 1
