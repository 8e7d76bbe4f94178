"""Administrators see which servers do not answer and what waits for them, and may have them asked again."""

import pytest

from tests.doubles.federated_pair import hal, here, tess, there, wire  # noqa: F401 - fixtures
from tests.doubles.federated_servers import until

DESTINATIONS = "/_synapse/admin/v1/federation/destinations"
THERE = "there.example"


@pytest.fixture
async def ask(here, hal):  # noqa: F811 - fixtures
    await here.database.execute("UPDATE accounts SET is_admin = true WHERE user_id = %b", hal.user_id)

    async def ask(path="", *, method="GET", token=None):
        return await here.call(method, DESTINATIONS + path, token=token or hal.token)

    return ask


@pytest.fixture
async def room_id(hal, tess, there):  # noqa: F811 - fixtures
    """Make a room here with a user of the other server in it."""
    room_id = await hal.create(preset="public_chat")
    status, _ = await there.call(
        "POST", f"/_matrix/client/v3/join/{room_id}?via=here.example", {}, token=tess.token
    )
    assert status == 200
    return room_id


async def test_a_server_that_has_all_is_listed_with_its_rooms(ask, room_id):
    status, listed = await ask()
    assert status == 200
    (one,) = listed["destinations"]
    assert listed["total"] == 1
    assert "next_token" not in listed
    assert (one["destination"], one["retry_last_ts"], one["retry_interval"]) == (THERE, 0, 0)
    assert one["failure_ts"] is None
    assert 0 < one["last_successful_stream_ordering"] < 2**53
    assert (await ask("/" + THERE))[1]["destination"] == THERE

    _, rooms = await ask(f"/{THERE}/rooms")
    assert [room["room_id"] for room in rooms["rooms"]] == [room_id]
    assert (await ask(f"/{THERE}/reset_connection", method="POST"))[0] == 400


async def test_a_server_that_does_not_answer_is_shown_and_asked_again_when_told(
    ask, room_id, here, hal, tess, wire  # noqa: F811 - fixtures
):
    here.federation.sender._destinations.failed(THERE)
    await hal.send(room_id, "hello")
    _, one = await ask("/" + THERE)
    assert one["failure_ts"] == one["retry_last_ts"] > 0
    assert one["retry_interval"] > 0
    assert one["org.isthmus.waiting"]["rooms_behind"] == 1
    assert await tess.texts(room_id) == []

    assert await ask(f"/{THERE}/reset_connection", method="POST") == (200, {})

    async def has_come():
        return await tess.texts(room_id) == ["hello"]

    await until(has_come)
    assert (await ask("/" + THERE))[1]["failure_ts"] is None


async def test_lists_are_paged_ordered_and_searched(ask, here):  # noqa: F811 - fixtures
    for name in ("b.example", "c.example", "d.test"):
        here.federation.sender._destinations.failed(name)

    async def names(query):
        status, answer = await ask("?" + query)
        assert status == 200
        return [one["destination"] for one in answer["destinations"]], answer

    assert (await names("destination=EXAMPLE"))[0] == ["b.example", "c.example"]
    assert (await names("order_by=destination&dir=b"))[0] == ["d.test", "c.example", "b.example"]
    found, answer = await names("limit=2")
    assert (found, answer["next_token"], answer["total"]) == (["b.example", "c.example"], "2", 3)
    assert (await names("limit=2&from=2"))[0] == ["d.test"]
    assert (await names("limit=0"))[1]["total"] == 3


async def test_what_is_not_there_or_not_allowed_is_refused(ask, here, tess):  # noqa: F811 - fixtures
    for path in ("/x.example", "/x.example/rooms"):
        assert (await ask(path))[0] == 404
    assert (await ask("/x.example/reset_connection", method="POST"))[0] == 404
    assert (await ask("?order_by=size"))[0] == 400
    assert (await ask("?dir=x"))[0] == 400
    other = await here.user("other")
    assert (await ask(token=other.token))[0] == 403
