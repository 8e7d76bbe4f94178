"""Device lists: who is told, when, of whose devices, live and after a restart."""

import asyncio
from urllib.parse import quote

import pytest

from tests.clients.test_cross_signing import set_up, sign
from tests.clients.test_keys import device_of, upload
from tests.doubles.rooms import PASSWORD


class Watcher:
    """Follows a user's syncs, and asks `keys/changes` about the same stretch."""

    def __init__(self, user):
        self.user = user
        self.since = None

    async def start(self):
        self.since = (await self.user.get("/sync"))["next_batch"]
        return self

    async def look(self, restart=None):
        """(changed, left) since the last look, by every road."""
        if restart is not None:
            await restart()
        answer = await self.user.get(f"/sync?since={self.since}")
        lists = answer.get("device_lists", {"changed": [], "left": []})
        path = f"/keys/changes?from={quote(self.since)}&to={quote(answer['next_batch'])}"
        assert await self.user.get(path) == lists
        self.since = answer["next_batch"]
        return [name_of(each) for each in lists["changed"]], [name_of(each) for each in lists["left"]]


def name_of(user_id):
    return user_id[1:].partition(":")[0]


@pytest.fixture(params=["live", "restarted"])
def restart(request, rooms_server):
    """Look live, or through a process that was started since."""
    return rooms_server.restart if request.param == "restarted" else None


@pytest.fixture
async def together(alice, bob):
    """Put Alice and Bob in a room, with keys; Carol is in none."""
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    for user in (alice, bob):
        await upload(user, await device_of(user))
    return room_id


async def test_a_device_with_new_keys_is_told_to_who_shares_a_room(alice, bob, carol, together, restart):
    watchers = [await Watcher(user).start() for user in (alice, bob, carol)]
    await upload(bob, await device_of(bob))

    assert [await watcher.look(restart) for watcher in watchers] == [(["bob"], []), (["bob"], []), ([], [])]
    assert [await watcher.look(restart) for watcher in watchers] == [([], [])] * 3


async def test_what_stays_as_it_is_is_not_told(alice, bob, together, restart):
    watcher = await Watcher(alice).start()
    device = await device_of(bob)
    await upload(bob, device)
    assert await watcher.look(restart) == (["bob"], [])

    await upload(bob, device, "A", fallback_keys=device.one_time_keys("F", fallback=True))
    await bob.act(together, "leave")
    assert await watcher.look(restart) == ([], ["bob"])
    await upload(bob, await device_of(bob))
    assert await watcher.look(restart) == ([], []), "they share no room"


async def test_joining_is_told_to_those_who_shared_no_room_before(alice, bob, carol, together, restart):
    await upload(carol, await device_of(carol))
    watchers = [await Watcher(user).start() for user in (alice, bob, carol)]
    await carol.act(together, "join")

    assert [await watcher.look(restart) for watcher in watchers] == [
        (["carol"], []), (["carol"], []), (["alice", "bob"], []),
    ]  # fmt: skip
    other = await alice.create(preset="public_chat")
    await carol.act(other, "join")
    assert [await watcher.look(restart) for watcher in watchers[1:]] == [([], []), ([], [])]


async def test_a_new_name_is_no_joining(alice, bob, together, restart):
    watchers = [await Watcher(user).start() for user in (alice, bob)]
    named = {"membership": "join", "displayname": "Bobby"}
    await bob.set_state(together, "m.room.member", named, bob.user_id)

    assert [await watcher.look(restart) for watcher in watchers] == [([], []), ([], [])]


@pytest.mark.parametrize("action", ["leave", "kick", "ban"])
async def test_who_leaves_the_last_shared_room_is_left(alice, bob, carol, together, restart, action):
    other = await alice.create(preset="public_chat")
    await carol.act(other, "join")
    watchers = [await Watcher(user).start() for user in (alice, bob, carol)]
    if action == "leave":
        await bob.act(together, "leave")
    else:
        await alice.act(together, action, user_id=bob.user_id)

    assert [await watcher.look(restart) for watcher in watchers] == [
        ([], ["bob"]), ([], ["alice"]), ([], []),
    ]  # fmt: skip


async def test_who_leaves_one_of_two_shared_rooms_is_not_left(alice, bob, together, restart):
    other = await alice.create(preset="public_chat")
    await bob.act(other, "join")
    watchers = [await Watcher(user).start() for user in (alice, bob)]
    await bob.act(together, "leave")

    assert [await watcher.look(restart) for watcher in watchers] == [([], []), ([], [])]
    await bob.act(together, "join")
    assert [await watcher.look(restart) for watcher in watchers] == [([], []), ([], [])]


async def test_who_left_and_came_back_is_to_be_asked_for(alice, bob, together, restart):
    watchers = [await Watcher(user).start() for user in (alice, bob)]
    await bob.act(together, "leave")
    await upload(bob, await device_of(bob))
    await bob.act(together, "join")

    told = [await watcher.look(restart) for watcher in watchers]
    # Who is here learns of the leaving and the coming; for who was away there was neither.
    assert told == [(["bob"], []), (["bob"] if restart else ["alice", "bob"], [])]


async def test_an_invitation_that_is_declined_tells_nothing(alice, carol, together, restart):
    watchers = [await Watcher(user).start() for user in (alice, carol)]
    await alice.act(together, "invite", user_id=carol.user_id)
    await carol.act(together, "leave")

    assert [await watcher.look(restart) for watcher in watchers] == [([], []), ([], [])]


async def test_devices_that_go_are_told_if_they_had_keys(rooms_server, alice, bob, together, restart):
    watcher = await Watcher(alice).start()
    login = {
        "type": "m.login.password", "identifier": {"type": "m.id.user", "user": "bob"}, "password": PASSWORD
    }  # fmt: skip
    first = bob.token
    _, answer = await rooms_server.call("POST", "/_matrix/client/v3/login", login)
    bob.token = answer["access_token"]
    await bob.ask("POST", "/logout", {})
    assert await watcher.look(restart) == ([], []), "it had no keys"

    bob.token = first
    device = await device_of(bob)
    await bob.ask("PUT", f"/devices/{device.device_id}", {"display_name": "Phone"})
    assert await watcher.look(restart) == (["bob"], [])
    status, answer = await bob.try_("DELETE", f"/devices/{device.device_id}", {})
    assert status == 401
    auth = {**login, "session": answer["session"]}
    assert await bob.try_("DELETE", f"/devices/{device.device_id}", {"auth": auth}) == (200, {})
    assert await watcher.look(restart) == (["bob"], [])


async def test_cross_signing_is_told_and_whom_one_verified_only_to_oneself(alice, bob, together, restart):
    watchers = [await Watcher(user).start() for user in (alice, bob)]
    signers = {user: await set_up(user) for user in (alice, bob)}
    assert [await watcher.look(restart) for watcher in watchers] == [(["alice", "bob"], [])] * 2

    signed = signers[alice].user_signing.sign(signers[bob].body()["master_key"])
    for expected in ([(["bob"], []), ([], [])], [([], []), ([], [])]):
        assert await sign(alice, bob, {signers[bob].master.public: signed}) == {}
        assert [await watcher.look(restart) for watcher in watchers] == expected
    device = await device_of(alice)
    await upload(alice, device)
    await sign(alice, alice, {device.device_id: signers[alice].self_signing.sign(device.keys())})
    assert [await watcher.look(restart) for watcher in watchers] == [(["alice"], [])] * 2


async def test_a_change_wakes_a_long_poll_and_sliding_sync(alice, bob, together):
    since = (await alice.get("/sync"))["next_batch"]
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    asked = {"conn_id": "encryption", "extensions": {"e2ee": {"enabled": True}}}
    status, first = await alice.server.call("POST", path, asked, token=alice.token)
    assert (status, "device_lists" in first["extensions"]["e2ee"]) == (200, False)
    polls = [
        asyncio.ensure_future(alice.get(f"/sync?since={since}&timeout=60000")),
        asyncio.ensure_future(
            alice.server.call("POST", f"{path}?pos={first['pos']}&timeout=60000", asked, token=alice.token)
        ),
    ]
    await asyncio.sleep(0)
    device = await device_of(bob)
    await upload(bob, device)

    told, (_, slid) = await asyncio.wait_for(asyncio.gather(*polls), 10)
    lists = {"changed": [bob.user_id], "left": []}
    assert told["device_lists"] == slid["extensions"]["e2ee"]["device_lists"] == lists
    assert "rooms" not in told


async def test_sliding_sync_goes_on_with_device_lists_where_they_were_left_off(alice, bob, together):
    path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
    on, off = {"extensions": {"e2ee": {"enabled": True}}}, {}
    _, answer = await alice.server.call("POST", path, on, token=alice.token)
    await upload(bob, await device_of(bob))
    for asked in (off, on, on):
        _, answer = await alice.server.call("POST", f"{path}?pos={answer['pos']}", asked, token=alice.token)
        if asked is on and answer["extensions"]["e2ee"]["device_lists"]["changed"]:
            assert answer["extensions"]["e2ee"]["device_lists"] == {"changed": [bob.user_id], "left": []}
            break
    else:
        pytest.fail("the change was lost")


async def test_what_a_crash_left_untold_is_told_at_the_next_start(rooms_server, alice, bob, together):
    watcher = await Watcher(alice).start()

    async def die(_noted):
        raise ConnectionError

    rooms_server.services.keys.device_keys._device_lists.announce = die
    with pytest.raises(ConnectionError):
        await upload(bob, await device_of(bob))
    assert await watcher.look() == ([], [])

    assert await watcher.look(rooms_server.restart) == (["bob"], [])
    assert await rooms_server.database.fetch("SELECT 1 FROM device_list_outbox") == []


@pytest.mark.parametrize(
    ("query", "error"),
    [("to=x", "M_MISSING_PARAM"), ("from=x&to=y", "M_INVALID_PARAM"), ("from=&to=", "M_MISSING_PARAM")],
)
async def test_changes_without_places_are_refused(alice, query, error):
    assert await alice.try_("GET", f"/keys/changes?{query}") == (400, error)
