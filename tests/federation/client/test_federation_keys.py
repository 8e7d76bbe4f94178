"""Calls for keys of users of other servers, and what of the answers is taken."""

import pytest

from federation.client.keys import FederationKeys
from homeserver.core.errors import Unavailable
from tests.doubles.federation_client import ScriptedFederationClient

BOB = "@bob:one.example"
ONE = "one.example"


@pytest.fixture
def client():
    return ScriptedFederationClient()


@pytest.fixture
def calls(client):
    return FederationKeys(client)


async def test_a_query_takes_what_has_the_form_of_keys(client, calls):
    client.answer(
        ONE, "/_matrix/federation/v1/user/keys/query",
        {
            "device_keys": {BOB: {"A": {"keys": {}}, "B": 7}, "@x:y": []}, "master_keys": {BOB: {}},
            "self_signing_keys": [],
        },
    )  # fmt: skip
    told = await calls.query(ONE, {BOB: ["A"]})

    assert told == {
        "device_keys": {BOB: {"A": {"keys": {}}}}, "master_keys": {BOB: {}}, "self_signing_keys": {},
    }  # fmt: skip
    assert client.asked[0].method == "POST"
    assert client.asked[0].content == {"device_keys": {BOB: ["A"]}}


async def test_a_claim_takes_what_has_the_form_of_keys(client, calls):
    claimed = {BOB: {"A": {"signed_curve25519:X": {"key": "k"}}, "B": None}, "@x:y": 1}
    client.answer(ONE, "/_matrix/federation/v1/user/keys/claim", {"one_time_keys": claimed})
    told = await calls.claim(ONE, {BOB: {"A": "signed_curve25519"}})

    assert told == {BOB: {"A": {"signed_curve25519:X": {"key": "k"}}}}
    assert client.asked[0].content == {"one_time_keys": {BOB: {"A": "signed_curve25519"}}}


async def test_devices_are_handed_on_as_they_are(client, calls):
    client.answer(ONE, "/_matrix/federation/v1/user/devices/%40bob%3Aone.example", {"stream_id": 1})
    assert await calls.devices(ONE, BOB) == {"stream_id": 1}
    assert client.asked[0].method == "GET"


async def test_what_is_no_object_is_no_answer(client, calls):
    client.answer(ONE, "*", [])
    for asking in (calls.query(ONE, {}), calls.claim(ONE, {}), calls.devices(ONE, BOB)):
        with pytest.raises(Unavailable):
            await asking
