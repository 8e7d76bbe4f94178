"""Table family `profiles`: one row a local user."""

from dataclasses import dataclass

from storage.tables.queries import Queries

__all__ = ["ProfileRow", "create", "find", "find_for_update", "update"]

_FIND = "SELECT displayname, avatar_url, custom_fields FROM profiles WHERE user_id = %s"


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """The profile of a local user.

    Attributes:
        displayname: None if not set.
        avatar_url: None if not set.
        custom_fields: JSON object of all further fields.
    """

    displayname: str | None = None
    avatar_url: str | None = None
    custom_fields: bytes = b"{}"


async def create(queries: Queries, user_id: str, displayname: str | None) -> None:
    """Insert the profile of a new account."""
    await queries.execute(
        "INSERT INTO profiles (user_id, displayname) VALUES (%s, %s)", user_id, displayname
    )


async def find(queries: Queries, user_id: str) -> ProfileRow | None:
    """The profile of a user; None if there is no such account."""
    row = await queries.fetch_one(_FIND, user_id)
    return None if row is None else ProfileRow(*row)


async def find_for_update(queries: Queries, user_id: str) -> ProfileRow | None:
    """The same, locked until the commit."""
    row = await queries.fetch_one(_FIND + " FOR UPDATE", user_id)
    return None if row is None else ProfileRow(*row)


async def update(queries: Queries, user_id: str, profile: ProfileRow) -> None:
    """Replace the profile of a user."""
    await queries.execute(
        "UPDATE profiles SET displayname = %s, avatar_url = %s, custom_fields = %s WHERE user_id = %s",
        profile.displayname, profile.avatar_url, profile.custom_fields, user_id,
    )  # fmt: skip
