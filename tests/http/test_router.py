import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeserver.core.errors import InvalidParam, MethodNotAllowed, Unrecognized
from homeserver.http.endpoint import Authentication, Endpoint, RateLimit
from homeserver.http.router import Router

PATHS = [
    ("GET", "/"),
    ("GET", "/_matrix/client/v3/sync"),
    ("GET", "/_matrix/client/v3/rooms/{room_id}/state"),
    ("GET", "/_matrix/client/v3/rooms/{room_id}/state/{type}/{state_key}"),
    ("PUT", "/_matrix/client/v3/rooms/{room_id}/state/{type}/{state_key}"),
    ("PUT", "/_matrix/client/v3/rooms/{room_id}/state/{type}"),
    ("POST", "/_matrix/client/v3/user/{user_id}/filter"),
    ("GET", "/_matrix/client/v3/user/me/special"),
    ("DELETE", "/_matrix/client/v3/devices/{device_id}"),
]


def endpoint(method, path):
    return Endpoint(method, path, None, Authentication.NONE, RateLimit.NONE, None, "spec")


@pytest.fixture
def router():
    return Router(endpoint(method, path) for method, path in PATHS)


@pytest.mark.parametrize(
    ("method", "path", "declared", "parameters"),
    [
        ("GET", "/", "/", {}),
        ("GET", "/_matrix/client/v3/sync", "/_matrix/client/v3/sync", {}),
        ("HEAD", "/_matrix/client/v3/sync", "/_matrix/client/v3/sync", {}),
        ("GET", "/_matrix/client/r0/sync", "/_matrix/client/v3/sync", {}),
        (
            "PUT",
            "/_matrix/client/v3/rooms/%21a%2Fb%3Alocalhost/state/m.room.name/",
            "/_matrix/client/v3/rooms/{room_id}/state/{type}/{state_key}",
            {"room_id": "!a/b:localhost", "type": "m.room.name", "state_key": ""},
        ),
        (
            "PUT",
            "/_matrix/client/v3/rooms/!a:b/state/m.room.name",
            "/_matrix/client/v3/rooms/{room_id}/state/{type}",
            {"room_id": "!a:b", "type": "m.room.name"},
        ),
        (
            "POST",
            "/_matrix/client/r0/user/me/filter",
            "/_matrix/client/v3/user/{user_id}/filter",
            {"user_id": "me"},
        ),
        (
            "DELETE",
            "/_matrix/client/v3/devices/%C3%A4%25",
            "/_matrix/client/v3/devices/{device_id}",
            {"device_id": "ä%"},
        ),
    ],
)
def test_a_path_finds_its_endpoint_and_parameters(router, method, path, declared, parameters):
    found, values = router.match(method, path)

    assert (found.path, dict(values)) == (declared, parameters)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/_matrix",
        "/_matrix/client/v3/sync/",
        "/_matrix/client/v4/sync",
        "/_matrix/client/v3/rooms//state",
        "/_matrix/client/v3/rooms/{room_id}",
        "/_matrix/client/v3/user/me",
        "//",
    ],
)
def test_any_other_path_is_unrecognized(router, path):
    with pytest.raises(Unrecognized):
        router.match("GET", path)


def test_another_method_is_told_which_there_are(router):
    path = "/_matrix/client/v3/rooms/!a:b/state/m.room.name/"

    with pytest.raises(MethodNotAllowed, match=r"only GET, PUT\."):
        router.match("POST", path)
    assert router.methods_of(path) == ["GET", "PUT"]
    assert router.methods_of("/nowhere") == []


@pytest.mark.parametrize("segment", ["%FF", "%C3", "%ED%A0%80", "a%00b"])
def test_a_parameter_that_is_no_text_is_refused(router, segment):
    with pytest.raises(InvalidParam):
        router.match("DELETE", f"/_matrix/client/v3/devices/{segment}")


def test_an_endpoint_cannot_be_declared_twice():
    with pytest.raises(ValueError, match="declared twice"):
        Router([endpoint("GET", "/a/{b}"), endpoint("GET", "/a/{c}")])


@given(st.sampled_from(["GET", "PUT", "OPTIONS", "X"]), st.text("/_matrixclev3{}%0Fsync", max_size=60))
def test_every_path_is_found_or_refused(method, path):
    router = Router(endpoint(method, path) for method, path in PATHS)
    try:
        found, _ = router.match(method, path)
    except (InvalidParam, MethodNotAllowed, Unrecognized):
        return
    assert found.method == method
