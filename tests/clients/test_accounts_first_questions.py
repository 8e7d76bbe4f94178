import orjson
import pytest

from clients.endpoints.versions import VersionsEndpoints
from clients.endpoints.well_known import WellKnownEndpoints
from homeserver.core.errors import NotFound
from tests.doubles.accounts import AccountsServer


@pytest.fixture
async def server(database):
    server = AccountsServer(database)
    yield server
    await server.close()


async def test_versions_are_told_to_anybody_even_with_a_bad_token(server):
    response = await server.respond("GET", "/_matrix/client/versions", token="expired")

    assert response.status == 200
    assert response.headers["Vary"] == "Authorization"
    versions = orjson.loads(response.body)["versions"]
    assert (versions[0], versions[-1]) == ("v1.1", "v1.19")


async def test_the_well_known_file_names_the_base_url(server):
    status, answer = await server.call("GET", "/.well-known/matrix/client")
    expected = {"m.homeserver": {"base_url": "http://127.0.0.1:8008"}, "m.tile_server": {}}
    assert (status, answer) == (200, expected)


async def test_without_a_base_url_there_is_no_well_known_file():
    with pytest.raises(NotFound):
        await WellKnownEndpoints(base_url=None).get_client(None)


async def test_without_anybody_to_turn_to_there_is_no_support_file(server):
    status, error = await server.call("GET", "/.well-known/matrix/support")
    assert (status, error["errcode"]) == (404, "M_NOT_FOUND")


async def test_the_support_file_says_whom_to_turn_to():
    support = {"contacts": [{"role": "m.role.admin", "matrix_id": "@admin:example.com"}]}

    response = await WellKnownEndpoints(base_url=None, support=support).get_support(None)

    assert orjson.loads(response.body) == support
    assert response.headers["Cache-Control"].startswith("public")


async def test_capabilities_name_the_room_versions(server):
    token = (await server.register("alice"))["access_token"]
    _, answer = await server.call("GET", "/_matrix/client/v3/capabilities", token=token)

    room_versions = answer["capabilities"]["m.room_versions"]
    assert room_versions["default"] == "12"
    assert set(room_versions["available"]) == {str(version) for version in range(1, 13)}
    assert answer["capabilities"]["m.profile_fields"] == {"enabled": True}


async def test_push_rules_are_the_predefined_ones(server):
    token = (await server.register("alice"))["access_token"]
    status, answer = await server.call("GET", "/_matrix/client/v3/pushrules/", token=token)
    _, same = await server.call("GET", "/_matrix/client/v3/pushrules/global/", token=token)

    assert status == 200
    assert same == answer["global"]
    assert list(same) == ["override", "content", "postcontent", "room", "sender", "underride"]
    assert [rule["rule_id"] for rule in same["override"]][:3] == [
        ".m.rule.master",
        ".m.rule.suppress_notices",
        ".m.rule.invite_for_me",
    ]
    assert same["override"][2]["conditions"][2]["pattern"] == "@alice:localhost"


async def test_the_same_versions_are_told_each_time():
    endpoints = VersionsEndpoints(software_version="1.2.3")
    body = orjson.loads((await endpoints.get_versions(None)).body)
    assert body["server"] == {"name": "Isthmus", "version": "1.2.3"}
