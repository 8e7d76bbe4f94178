"""The signing keys of this server, and what it knows of those of others.

Spec: https://spec.matrix.org/v1.19/server-server-api/#retrieving-server-keys
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from federation.known_keys import KnownKeys
from homeserver.core.canonical_json import encode_plain, parse_json
from homeserver.core.errors import InvalidParam, MatrixError
from homeserver.core.identifiers import is_valid_server_name
from homeserver.core.server_keys import OwnKeys
from homeserver.core.signing import sign_json
from homeserver.http.endpoint import Authentication, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.runtime.clock import Clock
from homeserver.runtime.together import side_by_side

__all__ = ["ServerKeysEndpoints"]

SERVERS_PER_QUERY_MAX = 100
_AT_ONCE_MAX = 50


class ServerKeysEndpoints:
    """Publishes keys.

    Args:
        own: of this server.
        known: of others.
        clock: tells the time.
        lifetime_ms: how long others may trust what they are told of our keys.
        may_speak_with: whether the operator lets this server speak with another.
    """

    def __init__(
        self,
        *,
        own: OwnKeys,
        known: KnownKeys,
        clock: Clock,
        lifetime_ms: int,
        may_speak_with: Callable[[str], bool],
    ) -> None:
        self._own = own
        self._known = known
        self._clock = clock
        self._lifetime_ms = lifetime_ms
        self._may_speak_with = may_speak_with

    @endpoint(
        "GET",
        "/_matrix/key/v2/server",
        "/_matrix/key/v2/server/{keyId}",
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2server",
    )
    async def get_server_keys(self, request: Request) -> Response:
        """Tell our keys. Older servers name one that they want; they are told all the same."""
        del request
        return json_response(self._published())

    @endpoint(
        "GET",
        "/_matrix/key/v2/query/{serverName}",
        "/_matrix/key/v2/query/{serverName}/{keyId}",
        authentication=Authentication.NONE,
        spec="https://spec.matrix.org/v1.19/server-server-api/#get_matrixkeyv2queryservername",
    )
    async def query_server_keys(self, request: Request) -> Response:
        """Tell what we know of the keys of a server."""
        name = request.parameters["serverName"]
        until_ms = request.query_integer("minimum_valid_until_ts", self._clock.now_ms(), at_most=2**53 - 1)
        return await self._answer_all({name: until_ms})

    @endpoint(
        "POST",
        "/_matrix/key/v2/query",
        authentication=Authentication.NONE,
        body=dict,
        spec="https://spec.matrix.org/v1.19/server-server-api/#post_matrixkeyv2query",
    )
    async def query_keys_of_servers(self, request: Request) -> Response:
        """Tell what we know of the keys of several servers."""
        criteria = request.body.get("server_keys")
        if not isinstance(criteria, dict) or len(criteria) > SERVERS_PER_QUERY_MAX:
            raise InvalidParam(f"server_keys is an object of at most {SERVERS_PER_QUERY_MAX} servers.")
        now_ms = self._clock.now_ms()
        wanted = {name: _latest(one, now_ms) for name, one in criteria.items()}
        return await self._answer_all(wanted)

    def _published(self) -> dict[str, Any]:
        return self._own.published(self._clock.now_ms() + self._lifetime_ms)

    async def _answer_all(self, wanted: Mapping[str, int]) -> Response:
        answers = await side_by_side(
            (self._answer(name, until_ms) for name, until_ms in wanted.items()), at_once_max=_AT_ONCE_MAX
        )
        # What others signed is handed on as it is, with integers of any size.
        return Response(body=encode_plain({"server_keys": [one for one in answers if one is not None]}))

    async def _answer(self, name: str, until_ms: int) -> dict[str, Any] | None:
        if name == self._own.server_name:
            return self._published()
        if not is_valid_server_name(name) or not self._may_speak_with(name):
            return None
        answer = await self._known.answer_of(name)
        if answer is None or not await self._is_fresh(name, answer, until_ms):
            with suppress(MatrixError):
                await self._known.refresh(name)
            answer = await self._known.answer_of(name)
        if answer is None:
            return None
        value: dict[str, Any] = parse_json(answer, strict=False)
        return sign_json(value, self._own.server_name, self._own.signing_key)

    async def _is_fresh(self, name: str, answer: bytes, until_ms: int) -> bool:
        """Whether an answer may be handed on as it is: in the first half of its life, and long valid."""
        valid_until_ms: int = parse_json(answer)["valid_until_ts"]
        fetched_ms = (await self._known.stored(name)).fetched_ms
        return valid_until_ms >= until_ms and self._clock.now_ms() * 2 <= fetched_ms + valid_until_ms


def _latest(criteria: Any, now_ms: int) -> int:
    """Until when the keys of a server should be valid, all things considered that are asked of them."""
    if not isinstance(criteria, dict):
        raise InvalidParam("server_keys names the servers, and for each the IDs of keys.")
    times = [one.get("minimum_valid_until_ts") for one in criteria.values() if isinstance(one, dict)]
    return max([one for one in times if type(one) is int], default=now_ms)
