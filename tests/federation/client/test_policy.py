"""The call by which a policy server is asked for its signature."""

import pytest

from federation.client.policy import FederationPolicy
from homeserver.core.errors import Unavailable
from tests.doubles.federation_client import ScriptedFederationClient


async def test_the_event_is_shown_as_it_is():
    client = ScriptedFederationClient()
    client.answer("p.example", "/_matrix/policy/v1/sign", {"p.example": {"ed25519:policy_server": "x"}})
    answer = await FederationPolicy(client).sign("p.example", {"type": "m.room.message"})

    assert answer == {"p.example": {"ed25519:policy_server": "x"}}
    assert client.asked[0].method == "POST"
    assert client.asked[0].content == {"type": "m.room.message"}
    client.answer("p.example", "*", [])
    with pytest.raises(Unavailable):
        await FederationPolicy(client).sign("p.example", {})
