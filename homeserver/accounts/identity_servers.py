"""Identity servers, asked as their client: they tell others who has an address, until told to forget it.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidbind and
https://spec.matrix.org/v1.19/identity-service-api/#establishing-associations
"""

import asyncio
import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson

from homeserver.accounts.addresses import canonical_address
from homeserver.accounts.ports import OutgoingRequests
from homeserver.core.errors import Forbidden, InvalidParam, MatrixError, ServerNotTrusted, Unavailable
from homeserver.core.request_signing import authorization_header
from homeserver.core.signing import SigningKey
from homeserver.runtime.together import side_by_side
from storage.pool import Database
from storage.tables import threepids

__all__ = ["IdentityServerRefusal", "IdentityServers"]

BINDINGS_PER_USER_MAX = 50
_UNBIND_ALL_TIMEOUT_MS = 20_000
_ERROR_CHARACTERS_MAX = 300
_ERRCODE = re.compile(r"[A-Z][A-Z0-9_.]{1,80}")
# Of an identity server they are about its own sessions; a client would take them for the end of ours.
_ABOUT_SESSIONS = frozenset(("M_MISSING_TOKEN", "M_UNAUTHORIZED", "M_UNKNOWN_TOKEN", "M_USER_LOCKED"))
_API = "/_matrix/identity/v2/3pid"


class IdentityServerRefusal(Forbidden):
    """What an identity server said when it refused, handed on.

    Args:
        errcode: what it said.
        error: its sentence.
        status: 4xx.
    """

    def __init__(self, errcode: str, error: str, status: int) -> None:
        super().__init__(error)
        self.errcode = errcode
        self.status = status


class IdentityServers:
    """Binds addresses that were validated at an identity server, and has them forgotten there.

    Args:
        database: where it is noted what is bound.
        outgoing: carries the requests.
        trusted: names of the servers that users may bind at.
        server_name: of this homeserver.
        signing_key: by which an identity server knows that this homeserver asks.
    """

    def __init__(
        self,
        *,
        database: Database,
        outgoing: OutgoingRequests,
        trusted: Collection[str],
        server_name: str,
        signing_key: SigningKey,
    ) -> None:
        self._database = database
        self._outgoing = outgoing
        self._trusted = frozenset(trusted)
        self._server_name = server_name
        self._signing_key = signing_key

    async def bind(
        self, user_id: str, id_server: str, id_access_token: str, sid: str, client_secret: str
    ) -> None:
        """Have an identity server tell others that a validated address is this user's.

        Raises:
            Forbidden: the user has bound too many.
            IdentityServerRefusal: the identity server refuses it.
            ServerNotTrusted: the operator does not want that server.
            Unavailable: it does not answer as it should.
        """
        if id_server not in self._trusted:
            raise ServerNotTrusted("This identity server is not one that this homeserver trusts.")
        if len(await threepids.bindings_of(self._database, user_id)) >= BINDINGS_PER_USER_MAX:
            raise Forbidden(f"An account binds {BINDINGS_PER_USER_MAX} addresses at most; unbind one before.")
        token = id_access_token.replace("\r", "").replace("\n", "")
        if not token.isascii():
            raise InvalidParam("The token of an identity server has only ASCII characters.")
        content = {"sid": sid, "client_secret": client_secret, "mxid": user_id}
        status, bound = await self._post(id_server, "/bind", content, f"Bearer {token}")
        _raise_refusal(status, bound)
        if status != 200:
            if 400 <= status < 500:
                raise Forbidden("The identity server refuses to bind this address.")
            raise Unavailable("The identity server does not answer as it should; try again.")
        medium, address = bound.get("medium"), bound.get("address")
        try:
            canonical = canonical_address(str(medium), str(address))
        except InvalidParam as error:
            raise Unavailable("The identity server does not say which address it has bound.") from error
        await threepids.add_binding(self._database, user_id, str(medium), canonical, id_server)

    async def unbind(self, user_id: str, medium: str, address: str, id_server: str | None) -> bool:
        """Have an address of a user forgotten.

        Args:
            user_id: whose.
            medium: `email` or `msisdn`.
            address: in its canonical form.
            id_server: where; None: wherever it was bound through this homeserver.

        Returns:
            Whether it is forgotten: False if it is not known where it was bound, or the identity server
            cannot do that.

        Raises:
            IdentityServerRefusal: the identity server refuses it.
            Unavailable: it does not answer as it should.
        """
        bound = await threepids.bindings_of(self._database, user_id)
        known = {server for *which, server in bound if which == [medium, address]}
        servers = known if id_server is None else {id_server} & (self._trusted | known)
        if not servers:
            return False
        unbound = await side_by_side(
            self._unbind_at(server, user_id, medium, address) for server in sorted(servers)
        )
        return all(unbound)

    async def try_unbind(self, user_id: str, medium: str, address: str, id_server: str | None) -> bool:
        """Have an address forgotten as `unbind` does; False also if it fails."""
        try:
            return await self.unbind(user_id, medium, address, id_server)
        except MatrixError:
            return False

    async def unbind_all(
        self, user_id: str, addresses: Iterable[tuple[str, str]], id_server: str | None
    ) -> bool:
        """Have all addresses forgotten of a user who is gone; in bounded time, and what fails stays.

        Args:
            user_id: whose.
            addresses: what the account had, by medium.
            id_server: where to have them forgotten, beside where they were bound through this homeserver.

        Returns:
            Whether none is left.
        """
        wanted = set(await threepids.bindings_of(self._database, user_id))
        is_known = True
        if id_server is not None:
            is_known = id_server in self._trusted or any(server == id_server for *_, server in wanted)
            if is_known:
                every = {(medium, address) for medium, address, _ in wanted} | set(addresses)
                wanted |= {(medium, address, id_server) for medium, address in every}
        try:
            async with asyncio.timeout(_UNBIND_ALL_TIMEOUT_MS / 1000):
                unbound = await side_by_side(
                    self._try_unbind_at(server, user_id, medium, address)
                    for medium, address, server in sorted(wanted)
                )
        except TimeoutError:
            return False
        return is_known and all(unbound)

    async def _try_unbind_at(self, server: str, user_id: str, medium: str, address: str) -> bool:
        try:
            return await self._unbind_at(server, user_id, medium, address)
        except MatrixError:
            return False

    async def _unbind_at(self, server: str, user_id: str, medium: str, address: str) -> bool:
        content = {"mxid": user_id, "threepid": {"medium": medium, "address": address}}
        signed = authorization_header(
            "POST", _API + "/unbind", content,
            origin=self._server_name, destination=server, key=self._signing_key,
        )  # fmt: skip
        status, answer = await self._post(server, "/unbind", content, signed)
        if status == 200:
            await threepids.delete_binding(self._database, user_id, medium, address, server)
            return True
        if answer.get("errcode") != "M_UNRECOGNIZED":
            _raise_refusal(status, answer)
        if status in {400, 403, 404, 501}:
            return False
        raise Unavailable("The identity server does not answer as it should; try again.")

    async def _post(
        self, server: str, action: str, content: Mapping[str, object], authorization: str
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Content-Type": "application/json", "Authorization": authorization}
        url = f"https://{server}{_API}{action}"
        status, answer = await self._outgoing.post(url, orjson.dumps(content), headers)
        try:
            value = orjson.loads(answer)
        except orjson.JSONDecodeError:
            value = None
        return status, value if isinstance(value, dict) else {}


def _raise_refusal(status: int, answer: Mapping[str, Any]) -> None:
    """Raise what the identity server says, if it refuses with an error of Matrix."""
    errcode, error = answer.get("errcode"), answer.get("error")
    if not (400 <= status < 500 or status == 501):
        return
    if not isinstance(errcode, str) or not _ERRCODE.fullmatch(errcode):
        return
    sentence = error[:_ERROR_CHARACTERS_MAX] if isinstance(error, str) else "no reason given"
    told = f"The identity server says: {sentence.encode('utf-8', 'replace').decode()}"
    if status == 401 or errcode in _ABOUT_SESSIONS:
        raise IdentityServerRefusal("M_FORBIDDEN", told, 403)
    raise IdentityServerRefusal(errcode, told, 400 if status == 501 else status)
