"""Table family `dehydrated_devices`: what it takes to use a dehydrated device; at most one a user."""

from storage.tables.queries import Queries

__all__ = ["find", "lock_user", "put"]


async def lock_user(queries: Queries, user_id: str) -> None:
    """Lock a user's account until the commit: dehydrated devices replace one another one after the other."""
    await queries.execute("SELECT 1 FROM accounts WHERE user_id = %b FOR NO KEY UPDATE", user_id)


async def find(queries: Queries, user_id: str) -> tuple[str, bytes] | None:
    """The ID and the data of the user's dehydrated device, if there is one."""
    row = await queries.fetch_one(
        "SELECT device_id, device_data FROM dehydrated_devices WHERE user_id = %b", user_id
    )
    return None if row is None else (row[0], row[1])


async def put(queries: Queries, user_id: str, device_id: str, device_data: bytes) -> None:
    """Make a device of a user, who has no dehydrated one, a dehydrated one."""
    await queries.execute(
        "INSERT INTO dehydrated_devices (user_id, device_id, device_data) VALUES (%b, %b, %b::bytea)",
        user_id, device_id, device_data,
    )  # fmt: skip
