"""Table families `upstream_identities`, `upstream_attempts`, `upstream_newcomers`: other services' users."""

from collections.abc import Sequence
from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = [
    "AttemptRow", "NewcomerRow", "add_attempt", "add_identity", "find_newcomer", "forget_older_than",
    "has_identity", "providers_of", "put_newcomer", "take_attempt", "take_newcomer", "user_of",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class AttemptRow:
    """A browser that was sent to a provider.

    Attributes:
        provider_id: where to.
        nonce: that the ID token must hold.
        code_verifier: of PKCE.
        continue_at: a path of this server where the browser goes on.
        uia_session: of interactive authentication, whose stage is to be passed; None: it is to be signed in.
        created_ms: when it was sent.
    """

    provider_id: str
    nonce: str
    code_verifier: str
    continue_at: str
    uia_session: str | None
    created_ms: int


@dataclass(frozen=True, slots=True)
class NewcomerRow:
    """Somebody who has signed in at a provider and has no account here.

    Attributes:
        provider_id: where.
        subject: what the provider calls them.
        localpart: that they may get; None: the provider tells none that could be one.
        display_name: as the provider tells it.
        email: as the provider has verified it.
        continue_at: a path of this server where the browser goes on.
    """

    provider_id: str
    subject: str
    localpart: str | None
    display_name: str | None
    email: str | None
    continue_at: str


async def user_of(queries: Queries, provider_id: str, subject: str) -> str | None:
    """Whose account somebody has who is known to a provider; None: they have none."""
    row = await queries.fetch_one(
        "SELECT user_id FROM upstream_identities WHERE provider_id = %s AND subject = %s",
        provider_id, subject,
    )  # fmt: skip
    return None if row is None else row[0]


async def has_identity(queries: Queries, user_id: str, provider_ids: Sequence[str]) -> bool:
    """Whether a user can sign in by one of some providers."""
    row = await queries.fetch_one(
        "SELECT 1 FROM upstream_identities WHERE user_id = %s AND provider_id = ANY(%s::text[])",
        user_id, list(provider_ids),
    )  # fmt: skip
    return row is not None


async def providers_of(queries: Queries, user_id: str) -> list[str]:
    """The IDs of the providers by which a user can sign in."""
    rows = await queries.fetch(
        "SELECT provider_id FROM upstream_identities WHERE user_id = %s ORDER BY provider_id", user_id
    )
    return [provider_id for (provider_id,) in rows]


async def add_identity(queries: Queries, provider_id: str, subject: str, user_id: str, now_ms: int) -> bool:
    """Let somebody sign in by a provider; False if they, or the user, are somebody else's there already."""
    added = await queries.execute(
        "INSERT INTO upstream_identities (provider_id, subject, user_id, created_ms)"
        " VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        provider_id, subject, user_id, now_ms,
    )  # fmt: skip
    return added == 1


async def add_attempt(queries: Queries, state_hash: bytes, browser_hash: bytes, attempt: AttemptRow) -> None:
    """Insert an attempt."""
    await queries.execute(
        "INSERT INTO upstream_attempts (state_hash, browser_hash, provider_id, nonce, code_verifier,"
        " continue_at, uia_session, created_ms) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        state_hash, browser_hash, attempt.provider_id, attempt.nonce, attempt.code_verifier,
        attempt.continue_at, attempt.uia_session, attempt.created_ms,
    )  # fmt: skip


async def take_attempt(
    queries: Queries, state_hash: bytes, browser_hash: bytes, created_after_ms: int
) -> AttemptRow | None:
    """Use an attempt up; None if there is none of this browser, or it is too old."""
    row = await queries.fetch_one(
        "DELETE FROM upstream_attempts WHERE state_hash = %s AND browser_hash = %s AND created_ms > %s"
        " RETURNING provider_id, nonce, code_verifier, continue_at, uia_session, created_ms",
        state_hash, browser_hash, created_after_ms,
    )  # fmt: skip
    return None if row is None else AttemptRow(*row)


async def put_newcomer(queries: Queries, browser_hash: bytes, newcomer: NewcomerRow, now_ms: int) -> None:
    """Remember who fills in a form in a browser, in the place of whoever did before."""
    await queries.execute(
        "INSERT INTO upstream_newcomers (browser_hash, provider_id, subject, localpart, display_name, email,"
        " continue_at, created_ms) VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (browser_hash)"
        " DO UPDATE SET provider_id = excluded.provider_id, subject = excluded.subject,"
        " localpart = excluded.localpart, display_name = excluded.display_name, email = excluded.email,"
        " continue_at = excluded.continue_at, created_ms = excluded.created_ms",
        browser_hash, newcomer.provider_id, newcomer.subject, newcomer.localpart, newcomer.display_name,
        newcomer.email, newcomer.continue_at, now_ms,
    )  # fmt: skip


async def find_newcomer(queries: Queries, browser_hash: bytes, created_after_ms: int) -> NewcomerRow | None:
    """Who fills in a form in a browser; None if nobody does, or it takes too long."""
    row = await queries.fetch_one(
        "SELECT provider_id, subject, localpart, display_name, email, continue_at FROM upstream_newcomers"
        " WHERE browser_hash = %s AND created_ms > %s",
        browser_hash, created_after_ms,
    )  # fmt: skip
    return None if row is None else NewcomerRow(*row)


async def take_newcomer(queries: Queries, browser_hash: bytes) -> None:
    """Forget who filled in a form in a browser."""
    await queries.execute("DELETE FROM upstream_newcomers WHERE browser_hash = %s", browser_hash)


async def forget_older_than(queries: Queries, created_before_ms: int) -> None:
    """Forget the attempts and newcomers who have not come back."""
    for table in ("upstream_attempts", "upstream_newcomers"):
        await queries.execute(f"DELETE FROM {table} WHERE created_ms < %s", created_before_ms)
