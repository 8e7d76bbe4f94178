"""Table family `registration_tokens`, as administrators see it; `accounts` has what registration needs."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["RegistrationTokenRow", "delete", "find", "list_all", "set_bounds"]

_COLUMNS = """
SELECT token, uses_max, uses, expires_ms, (
    SELECT count(*) FROM uia_sessions
    WHERE operation = 'register' AND created_ms > %s
      AND convert_from(completed, 'UTF8')::jsonb ->> 'm.login.registration_token' = token
) FROM registration_tokens
"""


@dataclass(frozen=True, slots=True)
class RegistrationTokenRow:
    """One token.

    Attributes:
        token: the text that people give.
        uses_max: None: any number of accounts.
        uses: accounts made with it.
        expires_ms: None: good for ever.
        pending: registrations under way in which it was given.
    """

    token: str
    uses_max: int | None
    uses: int
    expires_ms: int | None
    pending: int


async def list_all(queries: Queries, sessions_after_ms: int) -> list[RegistrationTokenRow]:
    """Every token, the oldest first; registrations that began before the given time are not pending."""
    rows = await queries.fetch(_COLUMNS + " ORDER BY created_ms, token", sessions_after_ms)
    return [RegistrationTokenRow(*row) for row in rows]


async def find(queries: Queries, token: str, sessions_after_ms: int) -> RegistrationTokenRow | None:
    """One token, if there."""
    row = await queries.fetch_one(_COLUMNS + " WHERE token = %s", sessions_after_ms, token)
    return None if row is None else RegistrationTokenRow(*row)


async def set_bounds(queries: Queries, token: str, uses_max: int | None, expires_ms: int | None) -> bool:
    """Say how often and how long the token may be used; False if it is not there."""
    updated = await queries.execute(
        "UPDATE registration_tokens SET uses_max = %s, expires_ms = %s WHERE token = %s",
        uses_max, expires_ms, token,
    )  # fmt: skip
    return updated == 1


async def delete(queries: Queries, token: str) -> bool:
    """Forget a token; False if it is not there."""
    return await queries.execute("DELETE FROM registration_tokens WHERE token = %s", token) == 1
