"""A query for keys of users of other servers: first what is kept here, then their servers."""

from types import SimpleNamespace

import pytest

from homeserver.core.errors import InvalidParam, Unavailable
from homeserver.e2ee.device_keys import DeviceKeys
from homeserver.e2ee.remote_keys import RemoteAnswers
from homeserver.e2ee.sharing import Sharing
from tests.e2ee.test_remote_devices import ALICE, BOB, CAROL, MASTER_KEY, ONE, World, keys, master, update


class Servers:
    """What other servers say at once; one that is not named is down."""

    def __init__(self):
        self.asked = []
        self.up = {ONE}

    async def query(self, server_name, device_keys):
        self.asked.append((server_name, dict(device_keys)))
        if server_name not in self.up:
            raise Unavailable("down")
        return {
            "device_keys": {user_id: {"X": keys("X", user_id)} for user_id in device_keys},
            "master_keys": {user_id: master(user_id) for user_id in device_keys},
        }


@pytest.fixture
async def world(database):
    world = World(database)
    await world.meet(ALICE, BOB)
    return world


@pytest.fixture
def servers():
    return Servers()


@pytest.fixture
def query(world, servers):
    sharing = Sharing(database=world.database, interning=None, is_required=False)
    device_keys = DeviceKeys(
        database=world.database, device_lists=None, sharing=sharing, remote=RemoteAnswers(servers),
        kept=world.kept, server_name="here",
    )  # fmt: skip

    async def ask(*user_ids):
        asked = {user_id: [] for user_id in user_ids}
        return await device_keys.query(SimpleNamespace(user_id=ALICE), asked, timeout_ms=1_000)

    return ask


async def test_a_server_is_asked_until_its_users_list_is_kept(world, servers, query):
    told = await query(BOB)
    assert told["device_keys"] == {BOB: {"X": keys("X")}}
    assert told["failures"] == {}
    await world.keep(devices=("A",), master_key=master())

    assert list((await query(BOB))["device_keys"][BOB]) == ["A"]
    assert servers.asked == [(ONE, {BOB: []})], "that was before it was kept"
    await world.lists.device_list_update(ONE, update("B", 9, 8))
    assert list((await query(BOB))["device_keys"][BOB]) == ["X"], "it is stale"


async def test_a_server_that_is_down_is_a_failure_for_its_users_only(world, servers, query):
    await world.keep()
    told = await query(BOB, CAROL, "@dave:one.example")

    assert list(told["failures"]) == ["two.example"]
    assert told["failures"]["two.example"]["errcode"] == "M_UNKNOWN"
    assert sorted(told["device_keys"]) == [BOB, "@dave:one.example"]
    assert servers.asked == [(ONE, {"@dave:one.example": []}), ("two.example", {CAROL: []})]


@pytest.mark.parametrize("is_kept", [False, True])
async def test_who_asks_sees_what_they_signed(world, query, is_kept):
    if is_kept:
        await world.keep(master_key=master())
    await world.database.execute(
        "INSERT INTO key_signatures VALUES (%b, %b, %b, 'ed25519:X', 'signature')", BOB, MASTER_KEY, ALICE
    )
    told = await query(BOB)

    assert told["master_keys"][BOB]["signatures"] == {ALICE: {"ed25519:X": "signature"}}


async def test_who_is_no_user_is_refused(query):
    with pytest.raises(InvalidParam):
        await query("bob")


