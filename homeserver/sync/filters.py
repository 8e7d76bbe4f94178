"""The filters that clients stored, and those that they send along; each read and parsed once."""

from collections import OrderedDict

import orjson

from homeserver.core.errors import InvalidParam, NotFound, TooLarge
from homeserver.core.filters import Filter, parse_filter
from storage.tables import filters
from storage.tables.queries import Queries

__all__ = ["Filters"]

PARSED_MAX = 5_000
BYTES_MAX = 65_536


class Filters:
    """Stores filters and finds them again. A stored filter never changes, so what is parsed stays true."""

    def __init__(self, queries: Queries, *, parsed_max: int = PARSED_MAX) -> None:
        self._queries = queries
        self._parsed_max = parsed_max
        self._parsed: OrderedDict[tuple[str, str], Filter] = OrderedDict()

    async def create(self, user_id: str, content: dict[str, object]) -> str:
        """Store a filter; returns its ID.

        Raises:
            BadJson, InvalidParam: it is not a filter.
            TooLarge: it is too large.
        """
        parse_filter(content)
        # Sorted, so that the same filter is one row however the client wrote it.
        encoded = orjson.dumps(content, option=orjson.OPT_SORT_KEYS)
        if len(encoded) > BYTES_MAX:
            raise TooLarge(f"A filter may have at most {BYTES_MAX} bytes.")
        number = await filters.create(self._queries, user_id, encoded)
        return str(number)

    async def content(self, user_id: str, filter_id: str) -> bytes:
        """A stored filter as JSON.

        Raises:
            NotFound: the user has no such filter.
        """
        found = None
        if filter_id.isascii() and filter_id.isdigit() and len(filter_id) < 19:
            found = await filters.find(self._queries, user_id, int(filter_id))
        if found is None:
            raise NotFound("There is no filter with this ID.")
        return found

    def at_hand(self, user_id: str, text: str | None) -> Filter | None:
        """The filter of a request, if it was asked for lately."""
        return self._parsed.get(("" if text.startswith("{") else user_id, text)) if text else Filter()

    async def chosen(self, user_id: str, text: str | None) -> Filter:
        """The filter of a request: the JSON of one, or the ID of a stored one.

        Raises:
            BadJson, InvalidParam: it is not a filter.
            TooLarge: it is too large.
        """
        if not text:
            return Filter()
        inline = text.startswith("{")
        key = ("" if inline else user_id, text)
        found = self._parsed.get(key)
        if found is not None:
            self._parsed.move_to_end(key)
            return found
        if inline and len(text) > BYTES_MAX:
            raise TooLarge(f"A filter may have at most {BYTES_MAX} bytes.")
        try:
            found = parse_filter(text if inline else await self.content(user_id, text))
        except NotFound as error:
            raise InvalidParam(error.error) from None
        self._parsed[key] = found
        if len(self._parsed) > self._parsed_max:
            self._parsed.popitem(last=False)
        return found
