"""Rendezvous for signing in by QR code, as JSON with sequence tokens: the newer form.

Proposal: https://github.com/matrix-org/matrix-spec-proposals/pull/4388
"""

from collections.abc import Mapping

from homeserver.accounts.rendezvous import DATA_BYTES_MAX, Mailbox, Rendezvous, StaleWrite
from homeserver.core.errors import Forbidden, InvalidParam, TooLarge
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.runtime.clock import Clock

__all__ = ["RendezvousJsonEndpoints"]

_PATH = "/_matrix/client/unstable/io.element.msc4388/rendezvous"
_ONE = _PATH + "/{rendezvousId}"
_SPEC = "https://github.com/matrix-org/matrix-spec-proposals/pull/4388"


class RendezvousJsonEndpoints:
    """Mailboxes that anybody may make; whoever knows the ID may read and write.

    Args:
        rendezvous: keeps them.
        clock: tells how long they have left.
    """

    def __init__(self, *, rendezvous: Rendezvous, clock: Clock) -> None:
        self._rendezvous = rendezvous
        self._clock = clock

    @endpoint("GET", _PATH, authentication=Authentication.OPTIONAL, spec=_SPEC)
    async def get_availability(self, request: Request) -> Response:
        """Tell whether the caller may make a mailbox: everybody may."""
        del request
        return json_response({"create_available": True})

    @endpoint(
        "POST",
        _PATH,
        authentication=Authentication.OPTIONAL,
        rate_limit=RateLimit.LOGIN,
        body=dict,
        spec=_SPEC,
    )
    async def create(self, request: Request) -> Response:
        """Make a mailbox."""
        mailbox = self._rendezvous.create(_data_of(request.body))
        return json_response({"id": mailbox.mailbox_id, **self._state(mailbox)})

    @endpoint("GET", _ONE, authentication=Authentication.NONE, spec=_SPEC)
    async def read(self, request: Request) -> Response:
        """Tell the message, to clients and not to browsers that show it as a page."""
        if _is_navigation(request.headers):
            raise Forbidden("This is for clients, not to be opened in a browser.")
        mailbox = self._rendezvous.find(request.parameters["rendezvousId"])
        return json_response({"data": mailbox.data, **self._state(mailbox)})

    @endpoint(
        "PUT", _ONE, _ONE + "/{txnId}", authentication=Authentication.NONE, body=dict, spec=_SPEC
    )
    async def write(self, request: Request) -> Response:
        """Replace the message that the client has seen."""
        data, seen = _data_of(request.body), request.body.get("sequence_token")
        if not isinstance(seen, str):
            raise InvalidParam("Give the sequence_token of the message that you replace.")
        try:
            mailbox = self._rendezvous.write(
                request.parameters["rendezvousId"], data, sequence_token=seen,
                transaction_id=request.parameters.get("txnId"),
            )  # fmt: skip
        except StaleWrite:
            told = {
                "errcode": "IO_ELEMENT_MSC4388_CONCURRENT_WRITE",
                "error": "Somebody else has written since.",
            }
            return json_response(told, 409)
        return json_response({"sequence_token": mailbox.sequence_token})

    @endpoint("DELETE", _ONE, authentication=Authentication.NONE, spec=_SPEC)
    async def delete(self, request: Request) -> Response:
        """Throw the mailbox away."""
        self._rendezvous.delete(request.parameters["rendezvousId"])
        return json_response({})

    def _state(self, mailbox: Mailbox) -> dict[str, str | int]:
        left_ms = max(0, mailbox.expires_ms - self._clock.now_ms())
        return {"sequence_token": mailbox.sequence_token, "expires_in_ms": left_ms}


def _data_of(body: Mapping[str, object]) -> str:
    data = body.get("data")
    if not isinstance(data, str):
        raise InvalidParam("Give the message as the string data.")
    if len(data.encode("utf-8", "surrogatepass")) > DATA_BYTES_MAX:
        raise TooLarge(f"A message has at most {DATA_BYTES_MAX} bytes.")
    return data


def _is_navigation(headers: Mapping[str, str]) -> bool:
    return (
        headers.get("sec-fetch-dest", "empty") != "empty"
        or headers.get("sec-fetch-mode") == "navigate"
        or headers.get("sec-fetch-user") == "?1"
        or headers.get("sec-fetch-site") == "none"
    )
