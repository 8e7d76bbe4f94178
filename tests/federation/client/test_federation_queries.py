"""Calls for what other servers know of users, directories and spaces."""

import pytest

from federation.client.queries import FederationQueries
from homeserver.core.errors import Unavailable
from tests.doubles.federation_client import ScriptedFederationClient

ONE = "one.example"


@pytest.fixture
def client():
    return ScriptedFederationClient()


@pytest.fixture
def queries(client):
    return FederationQueries(client)


async def test_each_asks_as_the_specification_has_it(client, queries):
    client.answer(ONE, "/_matrix/federation/v1/query/profile", {"displayname": "Bob"})
    client.answer(ONE, "/_matrix/federation/v1/publicRooms", {"chunk": []})
    client.answer(ONE, "/_matrix/federation/v1/hierarchy/%21a%2Fb%3Aone.example", {"room": {}})

    assert await queries.profile(ONE, "@bob:one.example") == {"displayname": "Bob"}
    assert await queries.public_rooms(ONE, {"limit": 3}) == {"chunk": []}
    assert await queries.hierarchy(ONE, "!a/b:one.example", suggested_only=True) == {"room": {}}
    profile, rooms, hierarchy = client.asked
    assert (profile.method, profile.query) == ("GET", {"user_id": "@bob:one.example"})
    assert (rooms.method, rooms.content) == ("POST", {"limit": 3})
    assert (hierarchy.method, hierarchy.query) == ("GET", {"suggested_only": "true"})


async def test_what_is_no_object_is_no_answer(client, queries):
    client.answer(ONE, "*", ["nonsense"])
    for asking in (
        queries.profile(ONE, "@bob:one.example"), queries.public_rooms(ONE, {}),
        queries.hierarchy(ONE, "!a", suggested_only=False),
    ):  # fmt: skip
        with pytest.raises(Unavailable):
            await asking
