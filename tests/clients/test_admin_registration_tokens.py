import pytest

from homeserver.accounts.uia import AuthenticationRequired

TOKENS = "/_synapse/admin/v1/registration_tokens"
FAR_MS = 4_000_000_000_000


@pytest.fixture
def ask(rooms_server, admin):
    async def ask(method, path="", body=None, *, token=None):
        return await rooms_server.call(method, TOKENS + path, body, token=token or admin.token)

    return ask


async def test_a_token_is_made_found_changed_and_taken_back(ask):
    made = await ask("POST", "/new", {"token": "abcd", "uses_allowed": 1, "expiry_time": FAR_MS})
    found = await ask("GET", "/abcd")
    changed = await ask("PUT", "/abcd", {"uses_allowed": None})
    same = await ask("PUT", "/abcd", {})
    gone = await ask("DELETE", "/abcd")
    missing = [await ask(method, "/abcd", {}) for method in ("GET", "PUT", "DELETE")]

    fields = {"token": "abcd", "pending": 0, "completed": 0, "expiry_time": FAR_MS}
    assert made == found == (200, {**fields, "uses_allowed": 1})
    assert changed == same == (200, {**fields, "uses_allowed": None})
    assert gone == (200, {})
    assert [status for status, _ in missing] == [404, 404, 404]


async def test_a_token_is_made_up_in_the_length_that_is_wanted(ask):
    _, one = await ask("POST", "/new", {})
    _, other = await ask("POST", "/new", {"length": 64})

    assert (len(one["token"]), len(other["token"])) == (16, 64)
    assert one["uses_allowed"] is None
    assert one["expiry_time"] is None


@pytest.mark.parametrize(
    "body",
    [
        {"token": ""},
        {"token": "a b"},
        {"token": "a" * 65},
        {"length": 0},
        {"length": 65},
        {"uses_allowed": -1},
        {"uses_allowed": 2**40},
        {"expiry_time": 1000},
        {"expiry_time": 2**62},
        {"token": "there"},
    ],
)
async def test_a_token_that_cannot_be_is_refused(ask, body):
    await ask("POST", "/new", {"token": "there"})

    status, answer = await ask("POST", "/new", body)

    assert (status, answer["errcode"]) == (400, "M_INVALID_PARAM")


async def test_tokens_are_listed_by_whether_they_are_valid(ask, rooms_server):
    await ask("POST", "/new", {"token": "good"})
    await ask("POST", "/new", {"token": "used", "uses_allowed": 0})
    await rooms_server.services.registration.create_token("old", expires_ms=1)

    # By when they were made, which may be the same millisecond.
    listed = {
        query: sorted([one["token"] for one in (await ask("GET", query))[1]["registration_tokens"]])
        for query in ("", "?valid=true", "?valid=false")
    }

    assert listed == {"": ["good", "old", "used"], "?valid=true": ["good"], "?valid=false": ["old", "used"]}
    assert (await ask("GET", "?valid=perhaps"))[0] == 400


async def test_registrations_under_way_and_done_are_counted(ask, rooms_server):
    await ask("POST", "/new", {"token": "twice", "uses_allowed": 2})
    interactive, stages = rooms_server.services.interactive, rooms_server.services.accounts.stages
    auth = {"type": "m.login.registration_token", "token": "twice"}
    flows = [["m.login.registration_token", "m.login.dummy"]]
    with pytest.raises(AuthenticationRequired):
        await interactive.require("register", flows, stages.checks(None), auth)

    assert (await ask("GET", "/twice"))[1]["pending"] == 1


async def test_others_are_refused_before_anything_is_looked_up(ask, alice):
    answers = [
        await ask(method, path, {}, token=alice.token)
        for method, path in [("GET", ""), ("POST", "/new"), ("GET", "/x"), ("PUT", "/x"), ("DELETE", "/x")]
    ]

    assert {(status, answer["errcode"]) for status, answer in answers} == {(403, "M_FORBIDDEN")}


async def test_validity_can_be_asked_by_anybody(ask, rooms_server):
    await ask("POST", "/new", {"token": "good"})
    path = "/_matrix/client/v1/register/m.login.registration_token/validity?token="

    assert await rooms_server.call("GET", path + "good") == (200, {"valid": True})
    assert await rooms_server.call("GET", path + "bad") == (200, {"valid": False})
