"""Identity servers, asked as their client: they tell others who has an address.

Spec: https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3account3pidbind
"""

from collections.abc import Collection

import orjson

from homeserver.accounts.ports import OutgoingRequests
from homeserver.core.errors import Forbidden, ServerNotTrusted, Unavailable
from storage.pool import Database
from storage.tables import threepids

__all__ = ["IdentityServers"]


class IdentityServers:
    """Binds addresses that were validated at an identity server.

    Args:
        database: where it is noted what is bound.
        outgoing: carries the requests.
        trusted: names of the servers that users may bind at.
    """

    def __init__(
        self, *, database: Database, outgoing: OutgoingRequests, trusted: Collection[str]
    ) -> None:
        self._database = database
        self._outgoing = outgoing
        self._trusted = frozenset(trusted)

    async def bind(
        self, user_id: str, id_server: str, id_access_token: str, sid: str, client_secret: str
    ) -> None:
        """Have an identity server tell others that a validated address is this user's.

        Raises:
            Forbidden: the identity server refuses it.
            ServerNotTrusted: the operator does not want that server.
            Unavailable: it does not answer as it should.
        """
        if id_server not in self._trusted:
            raise ServerNotTrusted("This identity server is not one that this homeserver trusts.")
        body = orjson.dumps({"sid": sid, "client_secret": client_secret, "mxid": user_id})
        token = id_access_token.replace("\r", "").replace("\n", "")
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
        url = f"https://{id_server}/_matrix/identity/v2/3pid/bind"
        status, answer = await self._outgoing.post(url, body, headers)
        if 400 <= status < 500:
            raise Forbidden("The identity server refuses to bind this address.")
        bound = _object(answer) if status == 200 else {}
        medium, address = bound.get("medium"), bound.get("address")
        if not isinstance(medium, str) or not isinstance(address, str) or "\0" in medium + address:
            raise Unavailable("The identity server does not answer as it should; try again.")
        await threepids.add_binding(self._database, user_id, medium, address, id_server)


def _object(answer: bytes) -> dict[str, object]:
    try:
        value = orjson.loads(answer)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}
