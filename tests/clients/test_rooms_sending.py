import asyncio
from urllib.parse import quote

import orjson
import pytest

from tests.doubles.rooms import message

FORBIDDEN = (403, "M_FORBIDDEN")
NOT_FOUND = (404, "M_NOT_FOUND")
REDACTED = "m.room.redaction"
TEXT = 'h\u00e9llo \U0001f600 "quoted"\n'


@pytest.fixture
async def room(alice, bob):
    room = await alice.create(preset="public_chat")
    await bob.act(room, "join")
    return room


async def test_a_message_is_read_as_it_was_sent(alice, bob, room):
    event_id = await alice.send(room, TEXT, transaction_id="t")
    seen = await bob.event(room, event_id)
    own = await alice.event(room, event_id)

    assert seen["content"] == message(TEXT)
    assert (seen["type"], seen["sender"], seen["room_id"]) == ("m.room.message", alice.user_id, room)
    assert own["unsigned"]["transaction_id"] == "t"
    assert "transaction_id" not in seen["unsigned"]


async def test_a_transaction_makes_one_event(alice, room):
    first = await alice.send(room, "once", transaction_id="same")
    again = await alice.send(room, "something else", transaction_id="same")

    assert first == again
    assert await alice.texts(room) == ["once"]


async def test_a_transaction_repeated_at_once_makes_one_event(alice, room):
    ids = await asyncio.gather(*[alice.send(room, "once", transaction_id="same") for _ in range(10)])

    assert len(set(ids)) == 1
    assert await alice.texts(room) == ["once"]


async def test_a_transaction_is_remembered_after_a_restart(rooms_server, alice, room):
    first = await alice.send(room, "once", transaction_id="same")
    await rooms_server.restart()
    again = await asyncio.gather(*[alice.send(room, "once", transaction_id="same") for _ in range(3)])

    assert set(again) == {first}
    assert await alice.texts(room) == ["once"]


async def test_a_transaction_is_that_of_one_session_room_and_type(rooms_server, alice, bob, room):
    other_room = await alice.create()
    ids = [
        await alice.send(room, transaction_id="same"),
        await bob.send(room, transaction_id="same"),
        await alice.send(other_room, transaction_id="same"),
        await alice.send(room, transaction_id="same", event_type="org.example"),
    ]

    assert len(set(ids)) == 4


async def test_what_many_send_at_once_is_all_there_once(alice, bob, room):
    await asyncio.gather(*[one.send(room, f"{one.user_id} {n}") for n in range(20) for one in (alice, bob)])
    texts = await alice.texts(room, "dir=f&limit=100")

    assert sorted(texts) == sorted(f"{user.user_id} {n}" for n in range(20) for user in (alice, bob))
    assert await bob.texts(room, "dir=f&limit=100") == texts


async def test_strangers_do_not_send(alice, carol, room):
    assert await carol.try_send(room) == FORBIDDEN
    assert await carol.try_send("!nowhere:localhost") == FORBIDDEN
    assert await carol.try_send("nonsense") == FORBIDDEN


async def test_the_power_levels_are_obeyed(alice, bob):
    levels = {"events_default": 10, "events": {"org.example": 0}}
    room = await alice.create(preset="public_chat", power_level_content_override=levels)
    await bob.act(room, "join")

    assert await bob.try_send(room) == FORBIDDEN
    await bob.send(room, event_type="org.example")
    await alice.send(room)


@pytest.mark.parametrize(
    ("content", "status", "errcode"),
    [
        ({"n": 1.5}, 400, "M_BAD_JSON"),
        ({"deep": [{"n": 1e300}]}, 400, "M_BAD_JSON"),
        ({"n": 2**53}, 400, "M_BAD_JSON"),
        ({"n": -(2**53)}, 400, "M_BAD_JSON"),
        (b'{"n": 1.0}', 400, "M_BAD_JSON"),
        (b'{"n": "\\ud800"}', 400, "M_NOT_JSON"),
        (b"{", 400, "M_NOT_JSON"),
        (b"[]", 400, "M_BAD_JSON"),
        ({"body": "x" * 65_536}, 413, "M_TOO_LARGE"),
        ({"body": "\u00e9" * 33_000}, 413, "M_TOO_LARGE"),
    ],
)
async def test_content_that_no_event_can_have_is_refused(alice, room, content, status, errcode):
    assert await alice.try_send(room, content) == (status, errcode)
    assert await alice.texts(room) == []


async def test_the_greatest_integers_and_large_messages_are_taken(alice, room):
    content = {"n": 2**53 - 1, "m": -(2**53 - 1), "body": "x" * 60_000}
    _, sent = await alice.try_send(room, content)

    assert (await alice.event(room, sent["event_id"]))["content"] == content


async def test_a_type_may_be_255_bytes_long(alice, room):
    await alice.send(room, event_type="x" * 255)
    path = alice.send_path(room, None, "x" * 256)

    assert await alice.try_("PUT", path, {}) == (413, "M_TOO_LARGE")


async def test_a_redacted_message_has_lost_its_content(alice, bob, room):
    event_id = await bob.send(room, "secret")
    redaction_id = await alice.redact(room, event_id, reason="Spam")
    event = await bob.event(room, event_id)
    redaction = await bob.event(room, redaction_id)

    assert event["content"] == {}
    assert event["unsigned"]["redacted_because"]["event_id"] == redaction_id
    assert redaction["content"] == {"reason": "Spam", "redacts": event_id}
    assert redaction["redacts"] == event_id
    (stored,) = await alice.server.database.fetch(
        "SELECT count(*) FROM events WHERE position(convert_to('secret', 'UTF8') IN json) > 0"
    )
    assert stored == (0,)


async def test_a_redaction_can_be_sent_as_an_event(alice, room):
    event_id = await alice.send(room, "secret")
    path = alice.send_path(room, "one", REDACTED)
    first = await alice.ask("PUT", path, {"redacts": event_id})

    assert await alice.ask("PUT", path, {"redacts": event_id}) == first
    assert (await alice.event(room, event_id))["content"] == {}


async def test_one_redacts_ones_own_and_moderators_those_of_all(alice, bob, room):
    from_alice, from_bob = await alice.send(room), await bob.send(room)

    assert await bob.try_redact(room, from_alice) == FORBIDDEN
    await bob.redact(room, from_bob)
    await alice.redact(room, from_bob)
    assert (await alice.event(room, from_alice))["content"] == message("hello")


async def test_a_second_redaction_leaves_the_first_in_place(alice, bob, room):
    event_id = await bob.send(room)
    first = await bob.redact(room, event_id, reason="Mine")
    await alice.redact(room, event_id, reason="Also mine")

    because = (await bob.event(room, event_id))["unsigned"]["redacted_because"]
    assert (because["event_id"], because["content"]["reason"]) == (first, "Mine")


async def test_a_redaction_repeated_makes_one_event(alice, room):
    event_id = await alice.send(room)
    path = alice.redact_path(room, event_id)
    answers = await asyncio.gather(*[alice.ask("PUT", path, {}) for _ in range(4)])

    assert len({answer["event_id"] for answer in answers}) == 1


async def test_redacted_state_counts_no_more_and_stays_so(rooms_server, alice, room):
    event_id = await alice.set_state(room, "m.room.topic", {"topic": "Secret"})
    await alice.redact(room, event_id)
    assert await alice.state(room, "m.room.topic") == {}
    await rooms_server.restart()

    assert await alice.state(room, "m.room.topic") == {}
    await alice.set_state(room, "m.room.topic", {"topic": "Open"})
    assert await alice.state(room, "m.room.topic") == {"topic": "Open"}


async def test_what_is_not_in_the_room_cannot_be_redacted(alice, carol, room):
    other_room = await alice.create()
    elsewhere = await alice.send(other_room)

    assert await alice.try_redact(room, elsewhere) == NOT_FOUND
    assert await alice.try_redact(room, "$nothing") == NOT_FOUND
    assert await carol.try_redact(room, await alice.send(room)) == FORBIDDEN
    assert await carol.try_redact("!nowhere:localhost", "$nothing") == FORBIDDEN


async def test_the_create_event_cannot_be_redacted(alice, room):
    create = (await alice.all_state(room))["m.room.create", ""]

    assert await alice.try_redact(room, create["event_id"]) == FORBIDDEN


async def test_an_event_may_be_redacted_right_after_it_was_sent(alice, bob, room):
    path = alice.send_path(room, "t1", "m.room.message")
    for number in range(5):
        body = orjson.dumps(message(f"number {number}"))
        event_id = (await alice.ask("PUT", path.replace("t1", f"x{number}"), body))["event_id"]
        await alice.redact(room, event_id)

    assert await bob.texts(room) == [None] * 5


async def test_an_alias_is_no_room_to_send_to(alice, room):
    path = f"/rooms/{quote('#room:localhost')}/send/m.room.message/t"

    assert await alice.try_("PUT", path, message("hello")) == FORBIDDEN


async def test_a_transaction_id_counts_for_one_event_that_is_redacted(alice):
    room = await alice.create()
    first, second = await alice.send(room, "first"), await alice.send(room, "second")
    made = [
        (await alice.ask("PUT", f"/rooms/{quote(room)}/redact/{quote(event_id)}/same", {}))["event_id"]
        for event_id in (first, second, first)
    ]

    assert made[0] != made[1]
    assert made[2] == made[0]
    assert await alice.texts(room) == [None, None]
