"""A room with a policy server: what it does not sign is neither sent by our server nor shown by it."""

import asyncio

import pytest
from aiohttp import web

from homeserver.core.content.policy import POLICY_KEY_ID
from homeserver.core.redaction import redact
from homeserver.core.signing import SigningKey, encode_base64, sign_json, verify_json
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.scripted_peer import ScriptedPeer
from tests.scenarios.federation.servers import Isthmus

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(120)]

KEY = SigningKey.generate(b"p" * 32, "policy_server")


@pytest.fixture(scope="module")
def server():
    with running(Isthmus, level="info") as (one,):
        yield one


@pytest.fixture
async def alice(server, come):
    return await come(server, "alice")


@pytest.fixture
async def peer(server):
    async with ScriptedPeer(server.authority) as one:
        yield one


async def test_what_is_spam_by_its_word_goes_nowhere(server, alice, peer):
    asked = []

    async def sign(request):
        pdu = await request.json()
        asked.append(pdu["content"].get("body", pdu["type"]))
        if "spam" in asked[-1]:
            return web.json_response({"errcode": "M_FORBIDDEN", "error": "No spam here"}, status=400)
        signatures = sign_json(redact(pdu, copy.rules), peer.name, KEY)["signatures"][peer.name]
        return {peer.name: {POLICY_KEY_ID: signatures[POLICY_KEY_ID]}}

    peer.answers["sign"] = sign
    room_id = await alice.make_room(preset="public_chat", room_version="11")
    copy = await peer.join(server.name, room_id)
    await alice.sees_member(room_id, peer.user_id, "join")
    content = {"via": peer.name, "public_keys": {"ed25519": encode_base64(KEY.public_key)}}
    await alice.set_state(room_id, "m.room.policy", content, "")
    await alice.say(room_id, "hello")
    await alice.sees(room_id, "hello")
    with pytest.raises(Exception, match="No spam here"):
        await alice.say(room_id, "spam")
    assert asked == ["hello", "spam"]

    await copy.say(server.name, "from elsewhere")
    await alice.sees(room_id, "from elsewhere")
    await peer.send(server.name, [copy.message("spam from elsewhere")])
    await copy.say(server.name, "the end")
    await alice.sees(room_id, "the end")
    assert asked[2:] == ["from elsewhere", "spam from elsewhere", "the end"]
    assert not [
        event for event in alice.room(room_id).timeline if "spam" in event["content"].get("body", "")
    ]
    async with asyncio.timeout(10):
        # Events for another server wait a moment for company.
        while not (sent := _said(peer, "hello")):  # noqa: ASYNC110 - the peer only writes down what comes
            await asyncio.sleep(0.02)
    assert verify_json(redact(sent[0], copy.rules), peer.name, POLICY_KEY_ID, KEY.public_key)


def _said(peer, body):
    return [pdu for pdu in peer.received if pdu["content"].get("body") == body]
