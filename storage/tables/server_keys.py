"""Table families `server_keys` and `server_key_answers`: the signing keys of other servers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from homeserver.core.server_keys import VerifyKey
from storage.pool import Database

__all__ = ["KnownServer", "ServerKeys"]

_FIND = """
    SELECT server_name, key_id, public_key, valid_until_ms, is_old
    FROM server_keys WHERE server_name = ANY(%s)
"""
_FIND_TIMES = "SELECT server_name, fetched_ms FROM server_key_answers WHERE server_name = ANY(%s)"
_PUT = """
    INSERT INTO server_keys (server_name, key_id, public_key, valid_until_ms, is_old)
    SELECT %s, * FROM unnest(%s::text[], %s::bytea[], %s::bigint[], %s::boolean[])
    ON CONFLICT (server_name, key_id) DO UPDATE SET
        public_key = excluded.public_key, valid_until_ms = excluded.valid_until_ms, is_old = excluded.is_old
"""
_PUT_ANSWER = """
    INSERT INTO server_key_answers (server_name, answer, fetched_ms) VALUES (%s, %s, %s)
    ON CONFLICT (server_name) DO UPDATE SET answer = excluded.answer, fetched_ms = excluded.fetched_ms
"""
_DROP_OTHERS = "DELETE FROM server_keys WHERE server_name = %s AND key_id <> ALL(%s)"


@dataclass(frozen=True, slots=True)
class KnownServer:
    """What is known of the keys of a server.

    Attributes:
        keys: by key ID.
        fetched_ms: when the server answered last.
    """

    keys: Mapping[str, VerifyKey] = field(default_factory=dict)
    fetched_ms: int = 0


class ServerKeys:
    """The keys that were heard of.

    Args:
        database: where they are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(self, server_names: Sequence[str]) -> list[KnownServer]:
        """What is known of each of some servers, in their order."""
        names = list(server_names)
        keys: dict[str, dict[str, VerifyKey]] = {name: {} for name in names}
        for name, key_id, public_key, valid_until_ms, is_old in await self._database.fetch(_FIND, names):
            keys[name][key_id] = VerifyKey(bytes(public_key), valid_until_ms, is_old)
        times: dict[str, int] = dict(await self._database.fetch(_FIND_TIMES, names))
        return [KnownServer(keys[name], times.get(name, 0)) for name in names]

    async def put(self, server_name: str, known: KnownServer, answer: bytes) -> None:
        """Replace what is known of a server.

        Args:
            server_name: the server.
            known: all that is known of it now.
            answer: what it said, as it signed it.
        """
        keys = known.keys
        rows = [(one.public_key, one.valid_until_ms, one.is_old) for one in keys.values()]
        async with self._database.transaction() as transaction:
            await transaction.execute(_DROP_OTHERS, server_name, list(keys))
            await transaction.execute(_PUT, server_name, list(keys), *map(list, zip(*rows, strict=True)))
            await transaction.execute(_PUT_ANSWER, server_name, answer, known.fetched_ms)

    async def answer(self, server_name: str) -> bytes | None:
        """What a server said last; None if it never did."""
        row = await self._database.fetch_one(
            "SELECT answer FROM server_key_answers WHERE server_name = %s", server_name
        )
        return None if row is None else bytes(row[0])
