"""Bad input gets the specification's error each time and never a 500: every endpoint that is declared."""

import http.client
import importlib
import json
import pkgutil
import re
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import clients.endpoints

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(240)]

_OF_OTHERS = re.compile(r"/publicRooms|/join/|/knock/|/profile/|/directory/room/|/summary|/hierarchy")
"""Who names another server is told if it does not answer: 503."""
_PAGES = ("/fallback/web", "/email/validate", "/sso/redirect", "/sso/redirect/{idpId}")
"""What people see in a browser: their errors are pages too."""
_PASSWORD = "correct horse battery staple"


def _declared():
    """(method, path) of every endpoint declared in clients.endpoints."""
    found = set()
    for module in pkgutil.iter_modules(clients.endpoints.__path__, "clients.endpoints."):
        loaded = importlib.import_module(module.name)
        for owner in vars(loaded).values():
            if isinstance(owner, type) and owner.__module__ == module.name:
                for member in vars(owner).values():
                    found |= {(method, path) for method, path, _ in getattr(member, "endpoints", ())}
    return sorted(found)


class Caller:
    """A raw HTTP client with one account; it says exactly what it is told to say."""

    accounts = 0

    def __init__(self, port):
        self.port = port
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.sign_in()

    def sign_in(self):
        Caller.accounts += 1
        auth = {"type": "m.login.dummy"}
        body = {"username": f"fuzz{Caller.accounts}", "password": _PASSWORD, "auth": auth}
        status, answer = self.call(
            "POST", "/_matrix/client/v3/register", json.dumps(body).encode(), token=None
        )
        assert status == 200, answer
        self.token, self.user_id = answer["access_token"], answer["user_id"]
        status, answer = self.call("POST", "/_matrix/client/v3/createRoom", b"{}", token=self.token)
        assert status == 200, answer
        self.room_id = answer["room_id"]
        path = f"/_matrix/client/v3/rooms/{quote(self.room_id)}/send/m.room.message/1"
        status, answer = self.call("PUT", path, b'{"msgtype":"m.text","body":"hello"}')
        assert status == 200, answer
        self.event_id = answer["event_id"]

    def call(self, method, path, body=b"", token="own", headers=()):
        sent = dict(headers)
        if token is not None:
            sent["Authorization"] = f"Bearer {self.token if token == 'own' else token}"
        try:
            self.connection.request(method, path, body=body, headers=sent)
            answer = self.connection.getresponse()
            payload = answer.read()
        except (http.client.HTTPException, OSError):
            self.connection.close()
            raise
        if answer.headers.get_content_type() != "application/json":
            return answer.status, None
        return answer.status, json.loads(payload) if payload else None


@pytest.fixture
def caller(server_of_module):
    one = Caller(server_of_module.port)
    yield one
    one.connection.close()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(
        ["m.room.member", "@a:localhost", "!x:localhost", "m.login.password", "join", "public"]
    ),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)
# The keys that endpoints look at, with values of any type: wrong types everywhere.
known_keys = st.sampled_from(
    [
        "user_id",
        "type",
        "identifier",
        "user",
        "password",
        "auth",
        "session",
        "username",
        "device_id",
        "reason",
        "displayname",
        "avatar_url",
        "room_id",
        "preset",
        "invite",
        "initial_state",
        "creation_content",
        "name",
        "topic",
        "room_version",
        "room_alias_name",
        "power_level_content_override",
        "membership",
        "content",
        "users",
        "join_rule",
        "body",
        "msgtype",
        "refresh_token",
        "nonce",
        "mac",
        "admin",
        "room",
        "timeline",
        "limit",
        "types",
        "third_party_signed",
        "via",
        "redacts",
        "guest_access",
        "history_visibility",
        "alias",
        "visibility",
        "since",
        "filter",
        "generic_search_term",
        "room_types",
        "include_all_networks",
        "third_party_instance_id",
        "score",
        "ignored_users",
        "default_action",
        "order",
        "tags",
        "device_keys",
        "one_time_keys",
        "fallback_keys",
        "algorithms",
        "keys",
        "signatures",
        "usage",
        "master_key",
        "self_signing_key",
        "user_signing_key",
    ]
)
objects = st.dictionaries(known_keys | st.text(max_size=8), json_values, max_size=6)
bodies = st.one_of(
    objects.map(lambda value: json.dumps(value).encode()),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.binary(max_size=60),
    st.sampled_from(
        [
            b"",
            b"{",
            b'{"a":',
            b"[" * 5000,
            b'{"a":' * 300 + b"1" + b"}" * 300,
            b'"\xff\xfe"',
            b"null",
            b"1e999",
            b'{"\\ud800": "\\udfff"}',
            b'{"a": 1.5}',
            b'{"a": 123456789012345678901234567890}',
        ]
    ),
)
segments = st.one_of(
    st.sampled_from(
        [
            "m.room.member",
            "m.room.power_levels",
            "m.room.name",
            "m.ignored_user_list",
            "m.invite_permission_config",
            "m.tag",
            "m.fully_read",
            "!nothere:localhost",
            "#none:localhost",
            "@nobody:localhost",
            "$event",
            "displayname",
            "0",
            "\0",
            "%",
            "a b",
            "é" * 50,
            "x" * 300,
        ]
    ),
    st.text(min_size=1, max_size=20).filter(lambda text: text.isprintable()),
)
queries = st.dictionaries(
    st.sampled_from(
        [
            "dir",
            "from",
            "to",
            "limit",
            "filter",
            "since",
            "at",
            "membership",
            "kind",
            "format",
            "full_state",
            "set_presence",
            "via",
            "server_name",
            "user_id",
            "suggested_only",
            "max_depth",
            "server",
            "batch_token",
            "username",
            "not_membership",
            "include",
            "recurse",
            "ts",
            "redirectUrl",
            "action",
        ]
    ),
    st.text(max_size=12)
    | st.sampled_from(["b", "f", "-1", "99999999999999999999", "true", "{}", "[]", "p1", "0"]),
    max_size=4,
)


def _is_errcode(text):
    """Those of proposals carry the name of whoever proposes them before theirs."""
    return text.rpartition(".")[2].startswith("M_")


def _fill(path, data, caller):
    """Put a value into each `{name}`: sometimes a real one, so that the request gets past the first check."""
    while "{" in path:
        before, _, rest = path.partition("{")
        name, _, after = rest.partition("}")
        real = {
            "eventId": caller.event_id,
            "roomId": caller.room_id,
            "roomIdOrAlias": caller.room_id,
            "userId": caller.user_id,
        }.get(name)
        choices = segments if real is None else st.just(real) | segments
        path = before + quote(data.draw(choices), safe="") + after
    return path


@pytest.mark.parametrize("group", range(8))
def test_arbitrary_input_never_gives_a_500(caller, group):
    endpoints = _declared()[group::8]
    assert endpoints

    @settings(
        max_examples=150,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data(), declared=st.sampled_from(endpoints), body=bodies, query=queries)
    def attack(data, declared, body, query):
        method, path = declared
        if path.endswith("/v3/events"):
            query = {"timeout": "0", **query}  # which waits for half a minute by default
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in query.items())
        target = _fill(path, data, caller) + (f"?{text}" if text else "")
        status, answer = caller.call(method, target, body)
        is_silent = status == 503 and _OF_OTHERS.search(path) is not None
        assert status < 500 or is_silent, (method, target, body, answer)
        if status >= 400 and not (answer is None and path.endswith(_PAGES)):
            # Interactive authentication answers with its flows until a stage has failed.
            told = "flows" in answer or (_is_errcode(answer["errcode"]) and answer["error"])
            assert told, (method, target, body, answer)
        if status == 401 or (status == 200 and ("logout" in path or "deactivate" in path)):
            caller.sign_in()

    attack()


@pytest.mark.parametrize(
    ("body", "status", "errcode"),
    [
        (b"{", 400, "M_NOT_JSON"),
        (b'{"body": "\xff"}', 400, "M_NOT_JSON"),
        (b"[]", 400, "M_BAD_JSON"),
        (b'"text"', 400, "M_BAD_JSON"),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, 400, {"M_BAD_JSON", "M_NOT_JSON"}),
        (b'{"a": 1.5}', 400, "M_BAD_JSON"),
        (json.dumps({"body": "x" * 70_000}).encode(), 413, "M_TOO_LARGE"),
    ],
)
def test_a_bad_event_gets_its_error(caller, body, status, errcode):
    path = f"/_matrix/client/v3/rooms/{quote(caller.room_id)}/send/m.room.message/bad"

    got, answer = caller.call("PUT", path, body)

    assert got == status, answer
    assert answer["errcode"] in (errcode if isinstance(errcode, set) else {errcode})


@pytest.mark.parametrize(
    ("method", "path", "token", "status", "errcode"),
    [
        ("GET", "/_matrix/client/v3/account/whoami", None, 401, "M_MISSING_TOKEN"),
        ("GET", "/_matrix/client/v3/account/whoami", "nonsense", 401, "M_UNKNOWN_TOKEN"),
        ("GET", "/_matrix/client/v3/nothing/here", "own", 404, "M_UNRECOGNIZED"),
        ("GET", "/_matrix/nothing", None, 404, "M_UNRECOGNIZED"),
        ("DELETE", "/_matrix/client/v3/sync", "own", 405, "M_UNRECOGNIZED"),
        ("PATCH", "/_matrix/client/v3/createRoom", "own", 405, "M_UNRECOGNIZED"),
        ("GET", "/_matrix/client/v3/rooms/!no:localhost/state", "own", 403, "M_FORBIDDEN"),
    ],
)
def test_a_wrong_request_gets_its_error(caller, method, path, token, status, errcode):
    got, answer = caller.call(method, path, token=token)

    assert got == status, answer
    assert answer["errcode"] == errcode


def test_a_body_over_the_limit_is_refused(caller):
    got, answer = caller.call(
        "POST", "/_matrix/client/v3/createRoom", b'{"name": "' + b"x" * 20_000_000 + b'"}'
    )

    assert got == 413
    assert answer["errcode"] == "M_TOO_LARGE"


def test_headers_over_the_limit_are_refused(caller):
    try:
        got, _ = caller.call("GET", "/_matrix/client/versions", headers=[("X-Long", "x" * 200_000)])
    except (http.client.HTTPException, OSError):
        got = 400  # closing the connection on such a peer is an answer too
    assert got in {400, 431}

    assert Caller.call(caller, "GET", "/_matrix/client/versions", token=None)[0] == 200
