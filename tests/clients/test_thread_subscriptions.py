"""Thread subscriptions on a whole server, and as sliding sync tells them."""

import asyncio
from urllib.parse import quote

import pytest

from homeserver.rooms import thread_subscriptions

MSC4306 = "/_matrix/client/unstable/io.element.msc4306"
PAGES = "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions"
SLIDING = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync"
EXTENSION = "io.element.msc4308.thread_subscriptions"


@pytest.fixture
async def room(alice, bob):
    room_id = await alice.create(preset="public_chat")
    await bob.act(room_id, "join")
    return room_id


async def call(user, method, path, body=None):
    status, answer = await user.server.call(method, path, body, token=user.token)
    return status, answer.get("errcode", answer)


def subscription(room, root):
    return f"{MSC4306}/rooms/{quote(room)}/thread/{quote(root, safe='')}/subscription"


async def put(user, room, root, **body):
    return await call(user, "PUT", subscription(room, root), body)


async def get(user, room, root):
    return await call(user, "GET", subscription(room, root))


async def delete(user, room, root):
    return await call(user, "DELETE", subscription(room, root))


async def reply(user, room, root):
    relates_to = {"rel_type": "m.thread", "event_id": root}
    status, answer = await user.try_send(room, {"msgtype": "m.text", "body": "r", "m.relates_to": relates_to})
    assert status == 200, answer
    return answer["event_id"]


async def sliding(user, pos=None, timeout_ms=0, **options):
    """Ask for the extension alone; returns the position and what it tells."""
    path = f"{SLIDING}?timeout={timeout_ms}" + ("" if pos is None else f"&pos={pos}")
    body = {"extensions": {EXTENSION: {"enabled": True, **options}}}
    status, answer = await user.server.call("POST", path, body, token=user.token)
    assert status == 200, answer
    return answer["pos"], answer["extensions"].get(EXTENSION)


async def test_the_server_says_that_it_has_thread_subscriptions(rooms_server):
    _, answer = await rooms_server.call("GET", "/_matrix/client/versions")
    assert answer["unstable_features"]["org.matrix.msc4306"] is True


async def test_a_user_subscribes_and_unsubscribes(alice, bob, room):
    root = await alice.send(room)
    assert await get(alice, room, root) == (404, "M_NOT_FOUND")
    assert await delete(alice, room, root) == (200, {})
    assert await put(alice, room, root) == (200, {})
    assert await get(alice, room, root) == (200, {"automatic": False})
    assert await get(bob, room, root) == (404, "M_NOT_FOUND")
    assert await delete(alice, room, root) == (200, {})
    assert await get(alice, room, root) == (404, "M_NOT_FOUND")


async def test_an_automatic_subscription_gives_way_to_what_the_user_wishes(alice, bob, room):
    root = await alice.send(room)
    first = await reply(bob, room, root)
    assert await put(bob, room, root, automatic=first) == (200, {})
    assert await get(bob, room, root) == (200, {"automatic": True})
    assert await put(bob, room, root) == (200, {})
    assert await put(bob, room, root, automatic=await reply(bob, room, root)) == (200, {})
    assert await get(bob, room, root) == (200, {"automatic": False})


async def test_what_came_before_the_unsubscription_does_not_undo_it(rooms_server, alice, bob, room):
    root = await alice.send(room)
    first = await reply(bob, room, root)
    await put(bob, room, root, automatic=first)
    between = await reply(alice, room, root)
    await delete(bob, room, root)
    await rooms_server.restart()

    for cause in (first, between):
        conflict = "IO.ELEMENT.MSC4306.M_CONFLICTING_UNSUBSCRIPTION"
        assert await put(bob, room, root, automatic=cause) == (409, conflict)
    assert await get(bob, room, root) == (404, "M_NOT_FOUND")
    assert await put(bob, room, root, automatic=await reply(alice, room, root)) == (200, {})
    assert await get(bob, room, root) == (200, {"automatic": True})


async def test_subscriptions_that_cannot_be(alice, bob, carol, room):
    root, other = await alice.send(room), await alice.send(room)
    elsewhere = await bob.create()
    there = await bob.send(elsewhere)
    not_in_thread = "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"
    for cause in (other, root, there, "$unheard", await reply(bob, elsewhere, there)):
        assert await put(bob, room, root, automatic=cause) == (400, not_in_thread)
    for cause in ("", "no event", "$" + "x" * 300, "$\0"):
        assert await put(bob, room, root, automatic=cause) == (400, "M_INVALID_PARAM")
    assert (await put(bob, room, root, automatic=7))[0] == 400
    for ask in (put, get, delete):
        assert await ask(bob, room, "no event") == (400, "M_INVALID_PARAM")
        assert await ask(bob, room, "$unheard") == (404, "M_NOT_FOUND")
        assert await ask(bob, room, there) == (404, "M_NOT_FOUND")
        assert await ask(carol, elsewhere, there) == (404, "M_NOT_FOUND")
        assert await ask(bob, "!nowhere:localhost", root) == (404, "M_NOT_FOUND")


async def test_a_user_has_only_so_many(monkeypatch, alice, room):
    monkeypatch.setattr(thread_subscriptions, "SUBSCRIPTIONS_PER_USER_MAX", 2)
    roots = [await alice.send(room) for _ in range(3)]
    assert (await put(alice, room, roots[0]))[0] == 200
    assert (await delete(alice, room, roots[0]))[0] == 200
    assert (await put(alice, room, roots[1]))[0] == 200
    assert await put(alice, room, roots[2]) == (413, "M_TOO_LARGE")
    assert (await put(alice, room, roots[0]))[0] == 200


async def test_many_at_once_are_one_after_the_other(alice, room):
    root = await alice.send(room)
    cause = await reply(alice, room, root)
    asked = [put(alice, room, root, automatic=cause) for _ in range(5)]
    asked += [put(alice, room, root) for _ in range(5)]
    answers = await asyncio.gather(*asked)

    assert [status for status, _ in answers] == [200] * 10
    assert await get(alice, room, root) == (200, {"automatic": False})


async def test_a_client_that_goes_away_leaves_its_wish_behind(monkeypatch, alice, room):
    root = await alice.send(room)
    gone = asyncio.create_task(put(alice, room, root))
    append, appended = alice.server.storage.journal.append, asyncio.Event()

    def note(write):
        appended.set()
        return append(write)

    monkeypatch.setattr(alice.server.storage.journal, "append", note)
    await appended.wait()
    gone.cancel()

    assert await delete(alice, room, root) == (200, {})
    assert await get(alice, room, root) == (404, "M_NOT_FOUND")
    _, told = await sliding(alice)
    assert list(told) == ["unsubscribed"]


async def test_who_asks_for_no_thread_subscriptions_is_told_nothing(alice, room):
    root = await alice.send(room)
    since = (await alice.get("/sync"))["next_batch"]
    waiting = asyncio.create_task(alice.get(f"/sync?since={since}&timeout=30000"))
    await put(alice, room, root)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not waiting.done()
    said = await alice.send(room)
    (event,) = (await asyncio.wait_for(waiting, 10))["rooms"]["join"][room]["timeline"]["events"]
    assert event["event_id"] == said


async def test_sliding_sync_tells_of_changes_and_wakes_for_them(alice, bob, room):
    root, other = await alice.send(room), await alice.send(room)
    await put(alice, room, root)
    await put(alice, room, other)
    await delete(alice, room, other)
    pos, told = await sliding(alice)
    stamp = told["subscribed"][room][root].pop("bump_stamp")
    assert told["subscribed"] == {room: {root: {"automatic": False}}}
    assert told["unsubscribed"][room][other]["bump_stamp"] > stamp
    assert "prev_batch" not in told

    pos, told = await sliding(alice, pos)
    assert told is None
    waiting = asyncio.create_task(sliding(alice, pos, 30_000))
    await asyncio.sleep(0)
    await put(bob, room, root)
    await delete(alice, room, root)
    pos, told = await asyncio.wait_for(waiting, 10)
    assert list(told) == ["unsubscribed"]
    assert 2**53 > told["unsubscribed"][room][root]["bump_stamp"] > stamp


async def test_what_one_answer_has_no_room_for_is_paged_back_to(alice, room):
    pos, _ = await sliding(alice)
    roots = [await alice.send(room) for _ in range(7)]
    for root in roots:
        await put(alice, room, root)
    _, told = await sliding(alice, pos, limit=2)
    assert set(told["subscribed"][room]) == set(roots[5:])

    found, token = [], told["prev_batch"]
    while token is not None:
        status, page = await call(alice, "GET", f"{PAGES}?dir=b&limit=3&from={token}&to={pos}")
        assert status == 200
        assert page["subscribed"][room].keys() <= set(roots)
        found.append(set(page["subscribed"][room]))
        token = page.get("end")
    assert found == [set(roots[2:5]), set(roots[:2])]
    # From its newest on, and no further back than a page.
    _, newest = await call(alice, "GET", f"{PAGES}?dir=b&limit=1")
    assert set(newest["subscribed"][room]) == {roots[6]}
    _, page = await call(alice, "GET", f"{PAGES}?dir=b&from={newest['end']}&to={told['prev_batch']}")
    assert set(page["subscribed"][room]) == {roots[5]}


async def test_a_connection_that_was_told_everything_has_nothing_in_its_gap(alice, room):
    root = await alice.send(room)
    await put(alice, room, root)
    pos, _ = await sliding(alice)
    assert await call(alice, "GET", f"{PAGES}?dir=b&to={pos}") == (200, {})


async def test_pages_that_cannot_be(alice):
    assert await call(alice, "GET", PAGES) == (400, "M_MISSING_PARAM")
    for query in ("dir=f", "dir=b&limit=0", "dir=b&limit=x", "dir=b&from=x", "dir=b&to=x", "dir=b&to=a.b.c"):
        assert await call(alice, "GET", f"{PAGES}?{query}") == (400, "M_INVALID_PARAM")


async def test_a_connection_goes_on_from_where_it_was_after_a_restart(rooms_server, alice, room):
    root, other = await alice.send(room), await alice.send(room)
    await put(alice, room, root)
    pos, _ = await sliding(alice)
    await put(alice, room, other)
    await rooms_server.restart()

    pos, told = await sliding(alice, pos)
    assert set(told["subscribed"][room]) == {other}
    assert (await sliding(alice, pos))[1] is None


async def test_an_extension_that_was_off_goes_on_where_it_was_left_off(alice, room):
    first, second = await alice.send(room), await alice.send(room)
    await put(alice, room, first)
    pos, _ = await sliding(alice)
    await put(alice, room, second)
    _, answer = await call(alice, "POST", f"{SLIDING}?pos={pos}", {})
    assert answer["extensions"] == {}
    _, told = await sliding(alice, answer["pos"])
    assert set(told["subscribed"][room]) == {second}


async def test_who_forgets_the_room_forgets_its_threads(alice, bob, room):
    root = await alice.send(room)
    await put(bob, room, root)
    await put(alice, room, root)
    await bob.act(room, "leave")
    await bob.act(room, "forget")
    await bob.act(room, "join")

    assert await get(bob, room, root) == (404, "M_NOT_FOUND")
    assert await get(alice, room, root) == (200, {"automatic": False})
    assert (await sliding(bob))[1] is None


async def test_a_deactivated_account_has_no_subscriptions(rooms_server, alice, bob, room):
    root = await alice.send(room)
    await put(alice, room, root)
    await put(bob, room, root)
    await rooms_server.services.account_care.deactivation.deactivate(bob.user_id)

    rows = await rooms_server.database.fetch("SELECT user_id FROM thread_subscriptions")
    assert rows == [(alice.user_id,)]
