import asyncio
import time

import pytest

from clients.load.api import ApiError
from homeserver.core.server_keys import parse_keys
from homeserver.core.signing import verify_json
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.scripted_peer import ScriptedPeer, path
from tests.scenarios.federation.servers import Isthmus

pytestmark = pytest.mark.scenario


@pytest.fixture(scope="module")
def servers():
    with running(Isthmus, Isthmus) as both:
        yield both


@pytest.fixture(scope="module")
def alone():
    with running(Isthmus, more="[federation]\nenabled = false\n") as (one,):
        yield one


@pytest.fixture
async def peer(servers):
    async with ScriptedPeer(servers[0].authority) as peer:
        yield peer


def now_ms():
    return int(time.time() * 1000)


async def keys_by_way_of(peer, notary, of, until_ms=0):
    """The keys of a server as another one tells them."""
    target = f"/_matrix/key/v2/query/{of.name}?minimum_valid_until_ts={until_ms}"
    status, answer = await peer.ask(notary.name, "GET", target)
    assert status == 200
    (value,) = answer["server_keys"]
    return value


async def test_each_knows_the_keys_of_the_other_and_vouches_for_them(servers, peer):
    one, two = servers
    _, published = await peer.ask(one.name, "GET", "/_matrix/key/v2/server")
    (key_id, key), *_ = parse_keys(published, one.name, now_ms()).items()

    value = await keys_by_way_of(peer, one, two)

    assert parse_keys(value, two.name, now_ms())
    assert verify_json(value, one.name, key_id, key.public_key)


async def test_only_signed_requests_are_answered(servers, peer):
    one, two = servers
    target = path("v1", "user", "devices", f"@nobody:{one.name}")
    content = {"device_keys": {f"@nobody:{one.name}": []}}
    query = path("v1", "user", "keys", "query")

    assert (await peer.ask(one.name, "GET", target))[0] == 200
    assert (await peer.ask(one.name, "POST", query, content))[0] == 200

    for_another = peer.header(two.name, "GET", target)
    for_another_path = peer.header(one.name, "GET", target + "x")
    for header in (None, "Bearer token", for_another, for_another_path):
        headers = {} if header is None else {"Authorization": header}
        async with peer._http.get(f"https://{one.name}{target}", headers=headers) as answer:
            assert (answer.status, (await answer.json())["errcode"]) == (401, "M_UNAUTHORIZED")


async def test_a_new_signing_key_is_known_to_others_at_once_and_the_old_one_for_ever(servers, peer):
    one, two = servers
    before = parse_keys(await keys_by_way_of(peer, one, two), two.name, now_ms())
    two.rotate_signing_key()

    # What one server knows of another is asked anew where it should hold for longer.
    week_ms = now_ms() + 7 * 86_400_000
    deadline = time.monotonic() + 30
    after = before
    while after.keys() == before.keys() and time.monotonic() < deadline:
        await asyncio.sleep(0.5)
        after = parse_keys(await keys_by_way_of(peer, one, two, week_ms), two.name, now_ms())

    (old_id,) = before
    assert after[old_id].is_old
    assert len(after) == 2


async def test_a_server_may_speak_with_no_other(alone, come):
    alice = await come(alone, "alice")
    room = await alice.make_room()

    async with ScriptedPeer(alone.authority) as peer:
        for target in ("/_matrix/key/v2/server", "/_matrix/federation/v1/version"):
            assert (await peer.ask(alone.name, "GET", target))[0] == 404
        with pytest.raises(ApiError):
            await alice.join_by(f"#any:{peer.name}", peer.name)
        await alice.say(room, "hello")
        assert peer.asked == {}
