"""Strings that recur (event types, state keys, user IDs) are stored as numbers; this knows both ways."""

from collections.abc import Iterable
from typing import Literal

from storage.cache import LruCache
from storage.pool import Database

__all__ = ["Interning", "Kind"]

Kind = Literal["type", "state_key", "user"]

_TABLES: dict[Kind, str] = {
    "type": "interned_types", "state_key": "interned_state_keys", "user": "interned_users",
}  # fmt: skip
_ENTRIES_MAX = 100_000


class Interning:
    """Numbers for strings, remembered in bounded caches. A number once given never changes.

    Args:
        database: where the numbers are.
        entries_max: of each kind and direction.
    """

    def __init__(self, database: Database, entries_max: int = _ENTRIES_MAX) -> None:
        self._database = database
        self._nids: dict[Kind, LruCache[str, int]] = {kind: LruCache(entries_max) for kind in _TABLES}
        self._texts: dict[Kind, LruCache[int, str]] = {kind: LruCache(entries_max) for kind in _TABLES}

    def known(self, kind: Kind, text: str) -> int | None:
        """Return the number if it is at hand; asks nobody."""
        return self._nids[kind].get(text)

    async def nids(self, kind: Kind, texts: Iterable[str]) -> dict[str, int]:
        """Return the number of each text, giving new ones where needed."""
        found, missing = self._from_cache(kind, texts)
        if missing:
            found.update(await self._find_or_make(kind, missing))
        return found

    async def nid(self, kind: Kind, text: str) -> int:
        """Return the number of one text, giving a new one if needed."""
        nid = self._nids[kind].get(text)
        return nid if nid is not None else (await self.nids(kind, (text,)))[text]

    async def existing(self, kind: Kind, texts: Iterable[str]) -> dict[str, int]:
        """Return the numbers of those texts that have one; for reads, which must not make new ones."""
        found, missing = self._from_cache(kind, texts)
        if missing:
            found.update(await self._look_up(kind, missing))
        return found

    def text_of(self, kind: Kind, nid: int) -> str | None:
        """Return the text if it is at hand; asks nobody."""
        return self._texts[kind].get(nid)

    async def texts(self, kind: Kind, nids: Iterable[int]) -> dict[int, str]:
        """Return the text of each number that exists."""
        cache = self._texts[kind]
        found: dict[int, str] = {}
        missing: list[int] = []
        for nid in nids:
            text = cache.get(nid)
            if text is None:
                missing.append(nid)
            else:
                found[nid] = text
        if missing:
            rows = await self._database.fetch(
                f"SELECT text, nid FROM {_TABLES[kind]} WHERE nid = ANY(%b::bigint[])",
                missing,
            )
            found.update({nid: text for text, nid in self._remember(kind, rows).items()})
        return found

    def _from_cache(self, kind: Kind, texts: Iterable[str]) -> tuple[dict[str, int], list[str]]:
        cache = self._nids[kind]
        found: dict[str, int] = {}
        missing: list[str] = []
        for text in texts:
            nid = cache.get(text)
            if nid is None:
                missing.append(text)
            else:
                found[text] = nid
        return found, missing

    async def _look_up(self, kind: Kind, texts: list[str]) -> dict[str, int]:
        rows = await self._database.fetch(
            f"SELECT text, nid FROM {_TABLES[kind]} WHERE text = ANY(%b::text[])",
            texts,
        )
        return self._remember(kind, rows)

    async def _find_or_make(self, kind: Kind, texts: list[str]) -> dict[str, int]:
        # One question for what is there and what is not. Sorted, so that two writers that intern the same
        # strings wait for each other in one order. A row that another made in between is in neither half of
        # the answer, hence the look-up.
        table = _TABLES[kind]
        rows = await self._database.fetch(
            "WITH asked AS (SELECT DISTINCT text FROM unnest(%b::text[]) AS asked (text)),"
            f" found AS (SELECT {table}.text, nid FROM asked JOIN {table} USING (text)),"
            f" made AS (INSERT INTO {table} (text) SELECT text FROM asked"
            " WHERE text NOT IN (SELECT text FROM found) ORDER BY text ON CONFLICT DO NOTHING"
            " RETURNING text, nid) SELECT text, nid FROM found UNION ALL SELECT text, nid FROM made",
            texts,
        )
        found = self._remember(kind, rows)
        if missing := [text for text in texts if text not in found]:
            found.update(await self._look_up(kind, missing))
        return found

    def _remember(self, kind: Kind, rows: list[tuple[str, int]]) -> dict[str, int]:
        found: dict[str, int] = {}
        for text, nid in rows:
            self._nids[kind].put(text, nid)
            self._texts[kind].put(nid, text)
            found[text] = nid
        return found
