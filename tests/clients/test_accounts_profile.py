import pytest

from tests.doubles.accounts import AccountsServer

ALICE = "/_matrix/client/v3/profile/%40alice%3Alocalhost"


@pytest.fixture
async def server(database):
    server = AccountsServer(database)
    yield server
    await server.close()


@pytest.fixture
async def token(server):
    return (await server.register("alice"))["access_token"]


async def test_fields_are_set_read_and_removed(server, token):
    for key, value in (
        ("displayname", "Alice Wonderland"),
        ("avatar_url", "mxc://localhost/abc"),
        ("m.tz", "Europe/London"),
        ("org.example.job", {"title": "Hatter", "years": [1, 2.5, None]}),
    ):
        assert await server.call("PUT", f"{ALICE}/{key}", {key: value}, token=token) == (200, {})
        assert await server.call("GET", f"{ALICE}/{key}") == (200, {key: value})
    assert await server.call("DELETE", f"{ALICE}/m.tz", token=token) == (200, {})
    assert await server.call("DELETE", f"{ALICE}/m.tz", token=token) == (200, {})
    assert await server.call("DELETE", f"{ALICE}/avatar_url", token=token) == (200, {})

    assert (await server.call("GET", f"{ALICE}/m.tz"))[0] == 404
    assert await server.call("GET", ALICE) == (
        200,
        {"displayname": "Alice Wonderland", "org.example.job": {"title": "Hatter", "years": [1, 2.5, None]}},
    )


async def test_only_changes_that_rooms_show_are_propagated(server, token):
    changes = [("displayname", "A"), ("displayname", "A"), ("m.tz", "UTC"), ("avatar_url", "mxc://a/b")]
    for key, value in changes:
        await server.call("PUT", f"{ALICE}/{key}", {key: value}, token=token)

    assert server.propagation.changed == ["@alice:localhost", "@alice:localhost"]


@pytest.mark.parametrize("nothing", ["", None])
async def test_older_clients_clear_a_display_name_by_setting_it_to_nothing(server, token, nothing):
    answer = await server.call("PUT", f"{ALICE}/displayname", {"displayname": nothing}, token=token)
    assert answer == (200, {})
    assert await server.call("GET", ALICE) == (200, {})


@pytest.mark.parametrize(
    ("key", "body", "errcode"),
    [
        ("displayname", {}, "M_MISSING_PARAM"),
        ("displayname", {"displayname": 7}, "M_INVALID_PARAM"),
        ("displayname", {"displayname": ["x"]}, "M_INVALID_PARAM"),
        ("displayname", {"displayname": "x" * 300}, "M_INVALID_PARAM"),
        ("displayname", {"displayname": "nul\0"}, "M_INVALID_PARAM"),
        ("avatar_url", {"avatar_url": "https://example.org/a.png"}, "M_INVALID_PARAM"),
        ("m.tz", {"m.tz": 1}, "M_INVALID_PARAM"),
        ("nonsense", {"nonsense": 1}, "M_INVALID_PARAM"),
        ("Org.Example", {"Org.Example": 1}, "M_INVALID_PARAM"),
        ("org." + "x" * 252, {"org." + "x" * 252: 1}, "M_KEY_TOO_LARGE"),
        ("org.big", {"org.big": "x" * 65_536}, "M_PROFILE_TOO_LARGE"),
    ],
)
async def test_what_a_profile_cannot_hold_is_refused(server, token, key, body, errcode):
    status, answer = await server.call("PUT", f"{ALICE}/{key}", body, token=token)
    assert (status, answer["errcode"]) == (400, errcode)


async def test_the_limit_holds_for_all_fields_together(server, token):
    half = "x" * 33_000
    assert (await server.call("PUT", f"{ALICE}/org.one", {"org.one": half}, token=token))[0] == 200
    status, answer = await server.call("PUT", f"{ALICE}/org.two", {"org.two": half}, token=token)
    assert (status, answer["errcode"]) == (400, "M_PROFILE_TOO_LARGE")


async def test_nobody_changes_the_profile_of_another(server, token):
    mallory = (await server.register("mallory"))["access_token"]
    for method in ("PUT", "DELETE"):
        body = {"displayname": "x"}
        status, answer = await server.call(method, f"{ALICE}/displayname", body, token=mallory)
        assert (status, answer["errcode"]) == (403, "M_FORBIDDEN")
        status, answer = await server.call(method, f"{ALICE}/displayname", body)
        assert (status, answer["errcode"]) == (401, "M_MISSING_TOKEN")


@pytest.mark.parametrize(
    ("user", "status"), [("%40bob%3Alocalhost", 404), ("%40a%3Aelsewhere", 404), ("nobody", 400)]
)
async def test_a_profile_that_is_not_here_is_told(server, user, status):
    assert (await server.call("GET", f"/_matrix/client/v3/profile/{user}"))[0] == status
    assert (await server.call("GET", f"/_matrix/client/v3/profile/{user}/displayname"))[0] == status
    assert await server.profiles.profile_of("@bob:localhost") == {}
