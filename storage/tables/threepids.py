"""Table families `account_threepids`, `validation_sessions`, `identity_bindings`: addresses out of Matrix."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "ThreepidRow", "ValidationRow", "add", "add_binding", "bindings_of", "count_try", "delete",
    "delete_binding", "find_validation", "forget_old_validations", "of_user", "open_validation",
    "set_validated", "take_validated", "user_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class ThreepidRow:
    """An address of an account.

    Attributes:
        medium: `email` or `msisdn`.
        address: in its canonical form.
        validated_ms: when it was shown to be the user's.
        added_ms: when it was added to the account.
    """

    medium: str
    address: str
    validated_ms: int
    added_ms: int


@dataclass(frozen=True, slots=True)
class ValidationRow:
    """Somebody on the way to show that an address is theirs.

    Attributes:
        sid: names it.
        purpose: what for: `register`, `reset` or `add`.
        medium: `email` or `msisdn`.
        address: in its canonical form.
        client_secret: made up by the client; who has it and the sid may use the session.
        token_hash: of what was sent to the address.
        send_attempt: a higher one sends again.
        tries: wrong tokens given.
        next_link: where the browser goes afterwards.
        validated_ms: None: not shown yet.
    """

    sid: str
    purpose: str
    medium: str
    address: str
    client_secret: str
    token_hash: bytes
    send_attempt: int
    tries: int = 0
    next_link: str | None = None
    validated_ms: int | None = None


_COLUMNS = (
    "sid, purpose, medium, address, client_secret, token_hash, send_attempt, tries, next_link, validated_ms"
)


async def add(queries: Queries, user_id: str, threepid: ThreepidRow) -> bool:
    """Add an address to an account; False if another account has it."""
    row = await queries.fetch_one(
        "INSERT INTO account_threepids (medium, address, user_id, validated_ms, added_ms)"
        " VALUES (%s, %s, %s, %s, %s) ON CONFLICT (medium, address) DO UPDATE"
        " SET validated_ms = excluded.validated_ms WHERE account_threepids.user_id = excluded.user_id"
        " RETURNING 1",
        threepid.medium, threepid.address, user_id, threepid.validated_ms, threepid.added_ms,
    )  # fmt: skip
    return row is not None


async def delete(queries: Queries, user_id: str, medium: str, address: str) -> bool:
    """Take an address from an account; False if it does not have it."""
    deleted = await queries.execute(
        "DELETE FROM account_threepids WHERE user_id = %s AND medium = %s AND address = %s",
        user_id, medium, address,
    )  # fmt: skip
    return deleted == 1


async def of_user(queries: Queries, user_id: str) -> list[ThreepidRow]:
    """The addresses of an account."""
    rows = await queries.fetch(
        "SELECT medium, address, validated_ms, added_ms FROM account_threepids WHERE user_id = %s"
        " ORDER BY added_ms, medium, address",
        user_id,
    )
    return [ThreepidRow(*row) for row in rows]


async def user_of(queries: Queries, medium: str, address: str) -> str | None:
    """Whose an address is, if anybody's."""
    row = await queries.fetch_one(
        "SELECT user_id FROM account_threepids WHERE medium = %s AND address = %s", medium, address
    )
    return None if row is None else row[0]


async def add_binding(queries: Queries, user_id: str, medium: str, address: str, id_server: str) -> None:
    """Note that an identity server tells of an address."""
    await queries.execute(
        "INSERT INTO identity_bindings (user_id, medium, address, id_server) VALUES (%s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        user_id, medium, address, id_server,
    )  # fmt: skip


async def bindings_of(queries: Queries, user_id: str) -> list[tuple[str, str, str]]:
    """Which identity servers tell of which addresses of a user: medium, address, server."""
    rows = await queries.fetch(
        "SELECT medium, address, id_server FROM identity_bindings WHERE user_id = %s"
        " ORDER BY medium, address, id_server",
        user_id,
    )
    return [(medium, address, id_server) for medium, address, id_server in rows]


async def delete_binding(queries: Queries, user_id: str, medium: str, address: str, id_server: str) -> None:
    """Note that an identity server does not tell of an address any more."""
    await queries.execute(
        "DELETE FROM identity_bindings"
        " WHERE user_id = %s AND medium = %s AND address = %s AND id_server = %s",
        user_id, medium, address, id_server,
    )  # fmt: skip


async def open_validation(queries: Queries, new: ValidationRow, now_ms: int) -> tuple[str, bool]:
    """Begin a validation, or go on with the one that the client has begun.

    Returns:
        Its sid, and whether the token of `new` is to be sent: not if nothing is newer than what was sent.
    """
    row = await queries.fetch_one(
        f"INSERT INTO validation_sessions AS old ({_COLUMNS}, created_ms)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT (purpose, medium, address, client_secret) DO UPDATE"
        " SET token_hash = excluded.token_hash, send_attempt = excluded.send_attempt, tries = 0,"
        " next_link = excluded.next_link WHERE old.send_attempt < excluded.send_attempt RETURNING sid",
        new.sid, new.purpose, new.medium, new.address, new.client_secret, new.token_hash, new.send_attempt,
        new.tries, new.next_link, new.validated_ms, now_ms,
    )  # fmt: skip
    if row is not None:
        return row[0], True
    row = await queries.fetch_one(
        "SELECT sid FROM validation_sessions"
        " WHERE purpose = %s AND medium = %s AND address = %s AND client_secret = %s",
        new.purpose, new.medium, new.address, new.client_secret,
    )  # fmt: skip
    return (new.sid if row is None else row[0]), False


async def find_validation(queries: Queries, sid: str, created_after_ms: int) -> ValidationRow | None:
    """A validation; None if it is unknown or too old."""
    row = await queries.fetch_one(
        f"SELECT {_COLUMNS} FROM validation_sessions WHERE sid = %s AND created_ms > %s",
        sid, created_after_ms,
    )  # fmt: skip
    return None if row is None else ValidationRow(*row)


async def count_try(queries: Queries, sid: str, tries_max: int) -> bool:
    """Count one look at a token; False if there were too many."""
    counted = await queries.execute(
        "UPDATE validation_sessions SET tries = tries + 1 WHERE sid = %s AND tries < %s", sid, tries_max
    )
    return counted == 1


async def set_validated(queries: Queries, sid: str, now_ms: int) -> None:
    """Note that an address was shown to be whose who began the validation."""
    await queries.execute(
        "UPDATE validation_sessions SET validated_ms = %s WHERE sid = %s AND validated_ms IS NULL",
        now_ms, sid,
    )  # fmt: skip


async def take_validated(queries: Queries, sid: str) -> bool:
    """Use a validation up; False if it was not there (any more)."""
    return await queries.execute(
        "DELETE FROM validation_sessions WHERE sid = %s AND validated_ms IS NOT NULL", sid
    ) == 1  # fmt: skip


async def forget_old_validations(queries: Queries, created_before_ms: int) -> None:
    """Forget what nobody goes on with."""
    await queries.execute("DELETE FROM validation_sessions WHERE created_ms < %s", created_before_ms)
