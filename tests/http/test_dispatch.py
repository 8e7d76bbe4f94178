import asyncio

import msgspec
import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeserver.core.errors import Forbidden, MatrixError
from homeserver.http.dispatch import RawRequest
from homeserver.http.endpoint import Authentication, RateLimit
from homeserver.http.rate_limits import RateLimits
from homeserver.http.response import Response, json_response
from homeserver.runtime.observation import (
    RequestFailed,
    RequestFinished,
    RequestTimedOut,
    current_request_id,
)

ALICE = {"authorization": "Bearer alice-token"}


class Body(msgspec.Struct):
    name: str


async def tell(request):
    requester = request.maybe_requester
    shown = msgspec.to_builtins(request.body)
    return json_response({"user_id": requester and requester.user_id, "body": shown})


async def answer(dispatcher, method="GET", target=b"/path", headers=None, body=b""):
    response = await dispatcher.respond(RawRequest(method, target, headers or {}, body, "192.0.2.1"))
    return response.status, orjson.loads(response.body)


@pytest.mark.parametrize(
    ("authentication", "headers", "target", "status", "expected"),
    [
        (Authentication.NONE, ALICE, b"/path", 200, None),
        (Authentication.USER, ALICE, b"/path", 200, "@alice:localhost"),
        (Authentication.USER, {"authorization": "bearer  alice-token "}, b"/path", 200, "@alice:localhost"),
        (Authentication.USER, {}, b"/path?access_token=alice-token", 200, "@alice:localhost"),
        (Authentication.USER, {}, b"/path", 401, "M_MISSING_TOKEN"),
        (Authentication.USER, {}, b"/path?access_token=", 401, "M_MISSING_TOKEN"),
        (Authentication.USER, {"authorization": "Basic abc"}, b"/path", 401, "M_MISSING_TOKEN"),
        (Authentication.USER, {"authorization": "Bearer"}, b"/path", 401, "M_MISSING_TOKEN"),
        (Authentication.USER, {"authorization": "Bearer wrong"}, b"/path", 401, "M_UNKNOWN_TOKEN"),
        (Authentication.OPTIONAL, {}, b"/path", 200, None),
        (Authentication.OPTIONAL, ALICE, b"/path", 200, "@alice:localhost"),
        (Authentication.OPTIONAL, {"authorization": "Bearer wrong"}, b"/path", 401, "M_UNKNOWN_TOKEN"),
        (Authentication.ADMIN, ALICE, b"/path", 403, "M_FORBIDDEN"),
        (Authentication.ADMIN, {"authorization": "Bearer admin-token"}, b"/path", 200, "@admin:localhost"),
    ],
)
async def test_who_may_ask(
    make_dispatcher, make_endpoint, authentication, headers, target, status, expected
):
    dispatcher = make_dispatcher(make_endpoint(tell, authentication=authentication))

    got_status, body = await answer(dispatcher, target=target, headers=headers)

    assert (got_status, body.get("user_id", body.get("errcode"))) == (status, expected)


async def test_the_endpoint_gets_what_it_declared(make_dispatcher, make_endpoint):
    seen = []

    async def look(request):
        seen.append(request)
        return Response()

    dispatcher = make_dispatcher(
        make_endpoint(look, method="POST", path="/struct/{id}", body=Body),
        make_endpoint(look, method="POST", path="/raw", body_raw=True),
        make_endpoint(look, method="POST", path="/nothing"),
    )

    await answer(dispatcher, "POST", b"/struct/%40a?q=1&q=2", {"x": "y"}, b'{"name":"a"}')
    await answer(dispatcher, "POST", b"/raw", body=b"\xff\xfe")
    await answer(dispatcher, "POST", b"/nothing", body=b"\xff\xfe")

    assert [request.body for request in seen] == [Body("a"), b"\xff\xfe", None]
    request = seen[0]
    assert (request.method, request.path, request.parameters) == ("POST", "/struct/%40a", {"id": "@a"})
    assert (request.query, request.headers) == ({"q": ["1", "2"]}, {"x": "y"})
    assert (request.client_address, request.request_id) == ("192.0.2.1", "r1")


@pytest.mark.parametrize(
    ("method", "target", "body", "status", "errcode"),
    [
        ("GET", b"/nowhere", b"", 404, "M_UNRECOGNIZED"),
        ("DELETE", b"/path", b"", 405, "M_UNRECOGNIZED"),
        ("nonsense", b"/path", b"", 405, "M_UNRECOGNIZED"),
        ("POST", b"/path", b"{", 400, "M_NOT_JSON"),
        ("POST", b"/path", b'{"name":"\xff"}', 400, "M_NOT_JSON"),
        ("POST", b"/path", b"[]", 400, "M_BAD_JSON"),
        ("POST", b"/path", b'{"name":1}', 400, "M_BAD_JSON"),
        ("POST", b"/path", b'{"name":"a","b":' + b"[" * 101 + b"]" * 101 + b"}", 400, "M_BAD_JSON"),
        ("POST", b"/path", b'{"name":"' + b"a" * 200 + b'"}', 413, "M_TOO_LARGE"),
        ("POST", b"/path?a=%FF", b"{}", 400, "M_INVALID_PARAM"),
        ("POST", b"/\xff", b"{}", 400, "M_INVALID_PARAM"),
        ("POST", b"", b"{}", 404, "M_UNRECOGNIZED"),
    ],
)
async def test_bad_input_gets_the_error_of_the_specification(
    make_dispatcher, make_endpoint, method, target, body, status, errcode
):
    limit = {"body_bytes_max": 300 if b"[" in body else 100}
    dispatcher = make_dispatcher(make_endpoint(tell, method="POST", body=Body), **limit)

    got_status, error = await answer(dispatcher, method, target, body=body)

    assert (got_status, error["errcode"]) == (status, errcode)
    assert error["error"].endswith(".")


async def test_a_wrong_method_is_told_the_right_ones(make_dispatcher, make_endpoint):
    dispatcher = make_dispatcher(make_endpoint(tell), make_endpoint(tell, method="PUT"))

    response = await dispatcher.respond(RawRequest("POST", b"/path"))

    assert (response.status, response.headers) == (405, {"Allow": "GET, PUT, OPTIONS"})


@pytest.mark.parametrize("target", [b"/path", b"/nowhere", b"*"])
async def test_options_does_nothing_on_any_path(make_dispatcher, make_endpoint, target):
    dispatcher = make_dispatcher(make_endpoint(pytest.fail, authentication=Authentication.USER))

    assert await answer(dispatcher, "OPTIONS", target) == (200, {})


async def test_an_error_of_the_endpoint_is_told_with_its_fields(make_dispatcher, make_endpoint):
    async def refuse(request):
        raise Forbidden("You may not.", reason="rules")

    dispatcher = make_dispatcher(make_endpoint(refuse))

    expected = {"errcode": "M_FORBIDDEN", "error": "You may not.", "reason": "rules"}
    assert await answer(dispatcher) == (403, expected)


async def test_an_error_that_brings_its_own_status_and_body_is_told_so(make_dispatcher, make_endpoint):
    class MoreStages(MatrixError):
        status = 401

        def body(self):
            return self.fields

    async def ask_for_more(request):
        raise MoreStages("", session="s", flows=[])

    dispatcher = make_dispatcher(make_endpoint(ask_for_more))

    assert await answer(dispatcher) == (401, {"session": "s", "flows": []})


async def test_a_mistake_of_ours_is_observed_and_told_by_its_request_id(make_dispatcher, make_endpoint):
    async def fail(request):
        raise KeyError("secret")

    observations = []
    dispatcher = make_dispatcher(make_endpoint(fail), observer=observations.append)

    status, body = await answer(dispatcher)

    assert (status, body["errcode"], body["request_id"]) == (500, "M_UNKNOWN", "r1")
    assert "secret" not in body["error"]
    failed, finished = observations
    assert isinstance(failed, RequestFailed)
    assert (repr(failed.error), failed.request_id) == ("KeyError('secret')", "r1")
    assert failed.error.__traceback__ is not None
    assert finished.status == 500


async def test_a_request_over_its_deadline_is_cancelled_and_told(make_dispatcher, make_endpoint):
    cancelled = []

    async def wait_for_ever(request):
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(request.request_id)
            raise

    observations = []
    dispatcher = make_dispatcher(
        make_endpoint(wait_for_ever, timeout_ms_max=1), observer=observations.append
    )

    status, body = await answer(dispatcher)

    assert (status, body["errcode"], cancelled) == (504, "M_UNKNOWN", ["r1"])
    assert [type(observation) for observation in observations] == [RequestTimedOut, RequestFinished]
    assert asyncio.current_task().cancelling() == 0


async def test_a_request_whose_client_goes_away_is_cancelled_and_counted(make_dispatcher, make_endpoint):
    async def wait_for_ever(request):
        await asyncio.Event().wait()

    observations = []
    dispatcher = make_dispatcher(make_endpoint(wait_for_ever), observer=observations.append)
    task = asyncio.create_task(answer(dispatcher))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert [observation.status for observation in observations] == [499]


async def test_every_request_is_observed_once_under_its_endpoint(make_dispatcher, make_endpoint):
    async def note(request):
        assert current_request_id.get() == "r1"
        return Response()

    observations = []
    times = iter((1.0, 1.25, 2.0, 2.0))
    dispatcher = make_dispatcher(
        make_endpoint(note, path="/a/{b}", authentication=Authentication.USER),
        observer=observations.append,
        stopwatch=lambda: next(times),
    )

    await answer(dispatcher, target=b"/a/1?access_token=alice-token")
    await answer(dispatcher, target=b"/nowhere")

    assert observations == [
        RequestFinished("GET", "/a/{b}", "/a/1", 200, 250.0, "r1", "@alice:localhost", "192.0.2.1"),
        RequestFinished("GET", "unrecognized", "/nowhere", 404, 0.0, "r2", "", "192.0.2.1"),
    ]
    assert current_request_id.get() == ""


@given(
    st.sampled_from(["GET", "POST", "HEAD", "PATCH"]),
    st.sampled_from([b"/path", b"/a/", b"/nowhere", b""]),
    st.binary(max_size=20) | st.text("%F0C3ab=&?/+", max_size=20).map(str.encode),
    st.binary(max_size=40) | st.text('{}[]":,name01\\ud8', max_size=40).map(str.encode),
    st.dictionaries(st.just("authorization"), st.text(max_size=20) | st.just("Bearer alice-token")),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_garbage_never_becomes_a_500(make_dispatcher, make_endpoint, method, path, rest, body, headers):
    dispatcher = make_dispatcher(
        make_endpoint(tell, method="POST", body=Body, authentication=Authentication.USER),
        make_endpoint(tell, method="POST", path="/a/{b}", body=dict),
    )

    response = asyncio.run(dispatcher.respond(RawRequest(method, path + rest, headers, body)))

    assert response.status < 500


class Rate:
    per_second = 1
    burst = 2


async def test_who_asks_too_often_is_told_when_to_come_back(make_dispatcher, make_endpoint, clock):
    observations = []
    limits = RateLimits({"message": Rate(), "login": Rate()}, clock, observations.append)
    dispatcher = make_dispatcher(
        make_endpoint(tell, authentication=Authentication.OPTIONAL, rate_limit=RateLimit.MESSAGE),
        rate_limits=limits,
    )

    statuses = [(await answer(dispatcher, headers=ALICE))[0] for _ in range(2)]
    response = await dispatcher.respond(RawRequest("GET", b"/path", ALICE, b"", "192.0.2.1"))
    anonymous, _ = await answer(dispatcher)
    clock.milliseconds += 1001
    later, _ = await answer(dispatcher, headers=ALICE)

    assert statuses == [200, 200]
    assert (response.status, response.headers) == (429, {"Retry-After": "2"})
    error = orjson.loads(response.body)
    assert (error["errcode"], error["retry_after_ms"]) == ("M_LIMIT_EXCEEDED", 1001)
    assert (anonymous, later) == (200, 200)
    assert [(seen.bucket, seen.key) for seen in observations] == [("message", "@alice:localhost")]
