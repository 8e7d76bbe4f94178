"""The way of a request: route, authenticate, rate limit, decode, respond; each step may refuse it."""

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from homeserver.core.errors import InvalidParam, LockedOut, MatrixError, MethodNotAllowed, TooLarge
from homeserver.core.requester import Requester
from homeserver.http.authenticate import Authenticator, ServerAuthenticator, SignedRequest, requester_of
from homeserver.http.decode import decoded_body, decoded_query, decoded_server_body
from homeserver.http.endpoint import TIMEOUT_MS, Authentication, Endpoint, RateLimit
from homeserver.http.errors import error_response
from homeserver.http.rate_limits import RateLimits
from homeserver.http.request import Request
from homeserver.http.response import Response, json_response
from homeserver.http.router import Router
from homeserver.runtime.observation import (
    Observer,
    RequestFailed,
    RequestFinished,
    RequestTimedOut,
    current_request_id,
)

__all__ = ["Admission", "BodyLimits", "Dispatcher", "RawRequest"]

CLIENT_CLOSED_REQUEST = 499
"""What is noted, never sent, where the client went away before the answer."""


@dataclass(frozen=True, slots=True)
class BodyLimits:
    """What is too much for a body.

    Attributes:
        bytes_max: larger ones are refused.
        json_depth_max: those with more levels of objects and arrays are refused.
    """

    bytes_max: int = 1_048_576
    json_depth_max: int = 100


_LIMITS = BodyLimits()


@dataclass(slots=True)
class RawRequest:
    """A request as a carrier got it.

    Attributes:
        method: upper-case HTTP method.
        target: path and query, percent-encoded.
        headers: lower-case names.
        body: undecoded.
        client_address: IP address of the client.
        certificate_names: tells the names in the client's certificate, verified; none: it showed none.
    """

    method: str
    target: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    client_address: str = ""
    certificate_names: Callable[[], frozenset[str]] = field(default=frozenset, compare=False, repr=False)


class Admission(Protocol):
    """Knows what accounts of each kind may do."""

    def is_open_to_locked(self, endpoint: Endpoint) -> bool:
        """Whether one whose account is locked may call an endpoint."""

    def admit(self, endpoint: Endpoint, request: Request, requester: Requester) -> None:
        """Take note of who calls an endpoint, or refuse it.

        Raises:
            GuestAccessForbidden: guests may not.
            UserSuspended: suspended users may not.
        """


class _Passage:
    """What is known so far of one request on its way."""

    __slots__ = ("endpoint", "origin", "path", "request_id", "requester", "timed_out")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.path = ""
        self.origin = ""
        self.endpoint = "unrecognized"
        self.requester: Requester | None = None
        self.timed_out = False

    def expire(self, task: "asyncio.Task[object]") -> None:
        """Cancel the work: its time is over."""
        self.timed_out = True
        task.cancel()


class Dispatcher:
    """Answers requests, whatever carries them.

    Args:
        router: knows the endpoints.
        authenticator: knows whose an access token is.
        rate_limits: counts requests; None where nothing is limited.
        observer: told of every request.
        admission: says who may call what; None: whoever is authenticated.
        servers: knows other servers; None only where no endpoint is for them.
        limits: of bodies whose endpoints have none of their own.
        stopwatch: monotonic seconds.
    """

    def __init__(
        self,
        *,
        router: Router,
        authenticator: Authenticator,
        rate_limits: RateLimits | None,
        observer: Observer,
        admission: Admission | None = None,
        servers: ServerAuthenticator | None = None,
        limits: BodyLimits = _LIMITS,
        stopwatch: Callable[[], float] = time.perf_counter,
    ) -> None:
        is_for_servers = any(one.authentication is Authentication.SERVER for one in router.endpoints)
        assert servers is not None or not is_for_servers, "no way to know the servers that ask"
        self._router = router
        self._authenticator = authenticator
        self._rate_limits = rate_limits
        self._admission = admission
        self._servers = servers
        self._observer = observer
        self.body_bytes_max = limits.bytes_max
        self._json_depth_max = limits.json_depth_max
        self._stopwatch = stopwatch
        self._request_numbers = itertools.count(1)

    def body_bytes_max_of(self, method: bytes, target: bytes) -> int:
        """How large the body of a request may be, which its endpoint may say.

        Args:
            method: upper-case HTTP method.
            target: path and query, percent-encoded.
        """
        try:
            endpoint, _ = self._router.match(method.decode(), _text(target.partition(b"?")[0]))
        except (MatrixError, UnicodeDecodeError):
            return self.body_bytes_max
        return self._limit_of(endpoint)

    def _limit_of(self, endpoint: Endpoint) -> int:
        return self.body_bytes_max if endpoint.body_bytes_max is None else endpoint.body_bytes_max

    async def respond(self, raw: RawRequest) -> Response:
        """Answer a request; whatever goes wrong becomes a response.

        Cancel the task that awaits this if the client goes away.
        """
        started = self._stopwatch()
        passage = _Passage(f"r{next(self._request_numbers)}")
        context = current_request_id.set(passage.request_id)
        status = CLIENT_CLOSED_REQUEST
        try:
            response = await self._respond(raw, passage)
            status = response.status
            return response
        finally:
            requester = passage.requester
            self._observer(
                RequestFinished(
                    raw.method,
                    passage.endpoint,
                    passage.path,
                    status,
                    (self._stopwatch() - started) * 1000,
                    passage.request_id,
                    "" if requester is None else requester.user_id,
                    raw.client_address,
                    passage.origin,
                )
            )
            current_request_id.reset(context)

    async def _respond(self, raw: RawRequest, passage: _Passage) -> Response:
        try:
            if raw.method == "OPTIONS":
                # Every path answers OPTIONS, and none does anything; the carrier adds the CORS headers.
                passage.endpoint = "options"
                return Response()
            return await self._answer(raw, passage)
        except MethodNotAllowed as error:
            response = error_response(error)
            allowed = [*self._router.methods_of(passage.path), "OPTIONS"]
            return replace(response, headers={**response.headers, "Allow": ", ".join(allowed)})
        except MatrixError as error:
            return error_response(error)
        except Exception as error:  # noqa: BLE001 - the last place that can tell the client anything
            self._observer(
                RequestFailed(
                    error=error, method=raw.method, path=passage.path, request_id=passage.request_id
                )
            )
            sentence = "Something went wrong inside the server; its operator can look for the request ID."
            body = {"errcode": "M_UNKNOWN", "error": sentence, "request_id": passage.request_id}
            return json_response(body, 500)

    async def _answer(self, raw: RawRequest, passage: _Passage) -> Response:
        target, _, query_text = _text(raw.target).partition("?")
        passage.path = target
        endpoint, parameters = self._router.match(raw.method, target)
        passage.endpoint = endpoint.path
        request = Request(raw.method, target, parameters, decoded_query(query_text), raw.headers)
        request.client_address = raw.client_address
        request.request_id = passage.request_id
        task = asyncio.current_task()
        assert task is not None, "a request is answered in a task of its own"
        timer = task.get_loop().call_later(endpoint.timeout_ms_max / 1000, passage.expire, task)
        try:
            return await self._perform(endpoint, request, raw, passage)
        except asyncio.CancelledError:
            # Only our own cancellation ends here; one from outside (the client went away) goes on.
            if not passage.timed_out or task.uncancel():
                raise
            return self._timed_out(raw, endpoint, passage)
        finally:
            timer.cancel()

    async def _perform(
        self, endpoint: Endpoint, request: Request, raw: RawRequest, passage: _Passage
    ) -> Response:
        body = raw.body
        if endpoint.authentication is Authentication.SERVER:
            # The signature covers the body, which may be long: so its length is looked at first.
            self._check_length(endpoint, body)
            request.origin = passage.origin = await self._origin_of(raw)
        elif endpoint.authentication is not Authentication.NONE:
            passage.requester = await self._admitted(endpoint, request)
        if self._rate_limits is not None and endpoint.rate_limit is not RateLimit.NONE:
            requester = passage.requester
            key = request.client_address if requester is None else requester.user_id
            self._rate_limits.check(endpoint.rate_limit, request.origin or key)
        self._check_length(endpoint, body)
        if endpoint.body_raw:
            request.body = body
        elif endpoint.body is dict and endpoint.authentication is Authentication.SERVER:
            request.body = decoded_server_body(body)
        elif endpoint.body is not None:
            request.body = decoded_body(endpoint.body, body, self._json_depth_max)
        response = await endpoint.respond(request)
        if endpoint.timeout_ms_max > TIMEOUT_MS and request.maybe_requester is not None:
            # Who waited may have been logged out or locked meanwhile; then there is no answer for them.
            await self._admitted(endpoint, request)
        return response

    def _check_length(self, endpoint: Endpoint, body: bytes) -> None:
        limit = self._limit_of(endpoint)
        if len(body) > limit:
            raise TooLarge(f"The body must not be larger than {limit} bytes.")

    async def _origin_of(self, raw: RawRequest) -> str:
        assert self._servers is not None, "looked at in the constructor"
        return await self._servers.authenticate(
            SignedRequest(
                raw.method, _text(raw.target), raw.headers.get("authorization"), raw.body,
                lambda: decoded_server_body(raw.body), raw.certificate_names,
            )
        )  # fmt: skip

    async def _admitted(self, endpoint: Endpoint, request: Request) -> Requester | None:
        try:
            request.maybe_requester = await requester_of(
                endpoint.authentication, request.headers, request.query, self._authenticator
            )
        except LockedOut as error:
            if self._admission is None or not self._admission.is_open_to_locked(endpoint):
                raise
            request.maybe_requester = error.requester
        requester = request.maybe_requester
        if requester is not None and self._admission is not None:
            self._admission.admit(endpoint, request, requester)
        return requester

    def _timed_out(self, raw: RawRequest, endpoint: Endpoint, passage: _Passage) -> Response:
        self._observer(
            RequestTimedOut(raw.method, passage.path, passage.request_id, endpoint.timeout_ms_max)
        )
        sentence = "This took too long and was given up; try again."
        return json_response({"errcode": "M_UNKNOWN", "error": sentence}, 504)


def _text(target: bytes) -> str:
    try:
        return target.decode()
    except UnicodeDecodeError:
        raise InvalidParam("The path and query must be percent-encoded UTF-8.") from None
