"""Rendezvous for signing in by QR code, as plain text with ETags: the older form, which most clients use.

Proposal: https://github.com/matrix-org/matrix-spec-proposals/pull/4108
"""

from email.utils import formatdate

import orjson

from homeserver.accounts.rendezvous import DATA_BYTES_MAX, Mailbox, Rendezvous, StaleWrite
from homeserver.core.errors import InvalidParam, MissingParam, TooLarge
from homeserver.http.endpoint import Authentication, RateLimit, endpoint
from homeserver.http.request import Request
from homeserver.http.response import Response

__all__ = ["RendezvousTextEndpoints"]

_PATH = "/_matrix/client/unstable/org.matrix.msc4108/rendezvous"
_ONE = _PATH + "/{rendezvousId}"
_SPEC = "https://github.com/matrix-org/matrix-spec-proposals/pull/4108"


class RendezvousTextEndpoints:
    """Mailboxes without authentication: whoever knows the URL may read and write.

    Args:
        rendezvous: keeps them.
        base_url: where clients reach this server.
    """

    def __init__(self, *, rendezvous: Rendezvous, base_url: str) -> None:
        self._rendezvous = rendezvous
        self._base_url = base_url.rstrip("/")

    @endpoint(
        "POST",
        _PATH,
        authentication=Authentication.NONE,
        rate_limit=RateLimit.LOGIN,
        body_raw=True,
        spec=_SPEC,
    )
    async def create(self, request: Request) -> Response:
        """Make a mailbox."""
        mailbox = self._rendezvous.create(_text_of(request))
        body = orjson.dumps({"url": f"{self._base_url}{_PATH}/{mailbox.mailbox_id}"})
        return Response(201, body, headers=_headers(mailbox))

    @endpoint("GET", _ONE, authentication=Authentication.NONE, spec=_SPEC)
    async def read(self, request: Request) -> Response:
        """Tell the message, unless the client has it."""
        mailbox = self._rendezvous.find(request.parameters["rendezvousId"])
        if _etag(mailbox) == request.headers.get("if-none-match"):
            return Response(304, b"", "text/plain", _headers(mailbox))
        return Response(200, mailbox.data.encode(), "text/plain", _headers(mailbox))

    @endpoint("PUT", _ONE, authentication=Authentication.NONE, body_raw=True, spec=_SPEC)
    async def write(self, request: Request) -> Response:
        """Replace the message that the client has seen."""
        seen = request.headers.get("if-match")
        if seen is None:
            raise MissingParam("Give the ETag of the message that you replace in the header If-Match.")
        try:
            mailbox = self._rendezvous.write(
                request.parameters["rendezvousId"], _text_of(request), sequence_token=seen.strip('"')
            )
        except StaleWrite as stale:
            told = {
                "errcode": "M_UNKNOWN",
                "error": "Somebody else has written since.",
                "org.matrix.msc4108.errcode": "M_CONCURRENT_WRITE",
            }
            return Response(412, orjson.dumps(told), headers=_headers(stale.mailbox))
        return Response(202, b"", "text/plain", _headers(mailbox))

    @endpoint("DELETE", _ONE, authentication=Authentication.NONE, spec=_SPEC)
    async def delete(self, request: Request) -> Response:
        """Throw the mailbox away."""
        self._rendezvous.delete(request.parameters["rendezvousId"])
        return Response(204, b"")


def _text_of(request: Request) -> str:
    body: bytes = request.body
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/plain":
        raise InvalidParam("The Content-Type must be text/plain.")
    if len(body) > DATA_BYTES_MAX:
        raise TooLarge(f"A message has at most {DATA_BYTES_MAX} bytes.")
    try:
        return body.decode()
    except UnicodeDecodeError:
        raise InvalidParam("The message must be text in UTF-8.") from None


def _etag(mailbox: Mailbox) -> str:
    return f'"{mailbox.sequence_token}"'


def _headers(mailbox: Mailbox) -> dict[str, str]:
    return {
        "ETag": _etag(mailbox),
        "Expires": formatdate(mailbox.expires_ms / 1_000, usegmt=True),
        "Last-Modified": formatdate(mailbox.changed_ms / 1_000, usegmt=True),
        "Cache-Control": "no-store, no-transform",
        "Pragma": "no-cache",
        "Access-Control-Expose-Headers": "ETag",
        # Nobody shall use a mailbox as a web page.
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'; frame-ancestors 'none'",
    }
