"""Table family `oauth_codes`: authorization codes, by their hash."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["CodeRow", "add", "delete_older_than", "lock", "set_session"]


@dataclass(frozen=True, slots=True)
class CodeRow:
    """One authorization code.

    Attributes:
        client_id: who got it.
        user_id: who granted it.
        device_id: what the tokens will belong to.
        scope: that was granted.
        redirect_uri: that it was sent to.
        code_challenge: of PKCE.
        created_ms: when.
        session_id: that it was exchanged for, if it was.
    """

    client_id: str
    user_id: str
    device_id: str
    scope: str
    redirect_uri: str
    code_challenge: str
    created_ms: int
    session_id: int | None = None


async def add(queries: Queries, code_hash: bytes, code: CodeRow) -> None:
    """Insert a code."""
    await queries.execute(
        "INSERT INTO oauth_codes (code_hash, client_id, user_id, device_id, scope, redirect_uri,"
        " code_challenge, created_ms) VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        code_hash, code.client_id, code.user_id, code.device_id, code.scope, code.redirect_uri,
        code.code_challenge, code.created_ms,
    )  # fmt: skip


async def lock(queries: Queries, code_hash: bytes) -> CodeRow | None:
    """The code, locked until the commit: of two who exchange it at once, the second sees the first."""
    row = await queries.fetch_one(
        "SELECT client_id, user_id, device_id, scope, redirect_uri, code_challenge, created_ms, session_id"
        " FROM oauth_codes WHERE code_hash = %s FOR UPDATE",
        code_hash,
    )
    return None if row is None else CodeRow(*row)


async def set_session(queries: Queries, code_hash: bytes, session_id: int) -> None:
    """Say which session the code was exchanged for."""
    await queries.execute(
        "UPDATE oauth_codes SET session_id = %s WHERE code_hash = %s", session_id, code_hash
    )


async def delete_older_than(queries: Queries, created_before_ms: int) -> int:
    """Forget old codes; returns how many."""
    return await queries.execute("DELETE FROM oauth_codes WHERE created_ms < %s", created_before_ms)
