"""Sliding sync: what the extensions tell."""

import asyncio

from tests.sync.sliding_world import room_list
from tests.sync.sync_asking import ALICE, BOB, ROOM

OTHER = "!other:example.org"


def extended(name, asked=None, **options):
    return (asked or room_list(limit=1)) | {"extensions": {name: {"enabled": True, **options}}}


async def told(sliding, name, pos=None, asked=None, **options):
    """Ask for one extension; returns the position and what it tells."""
    answer = await sliding.ask(ALICE, extended(name, asked, **options), pos)
    return answer["pos"], answer["extensions"][name]


async def test_extensions_that_are_not_enabled_tell_nothing(sliding):
    sliding.create(ROOM, ALICE)
    asked = room_list() | {"extensions": {"typing": {}, "receipts": {"enabled": False}, "unknown": {"a": 1}}}
    assert (await sliding.ask(ALICE, asked))["extensions"] == {}


async def test_account_data_is_told_whole_and_then_what_changes(sliding):
    sliding.create(ROOM, ALICE)
    sliding.keep(ALICE, "org.example.a", {"n": 1})
    sliding.keep(ALICE, "org.example.gone", None)
    sliding.keep(ALICE, "m.tag", {"tags": {"u.work": {}}}, ROOM)

    pos, told_ = await told(sliding, "account_data")
    assert {event["type"] for event in told_["global"]} == {"org.example.a", "m.push_rules"}
    assert told_["rooms"] == {ROOM: [{"type": "m.tag", "content": {"tags": {"u.work": {}}}}]}

    pos, told_ = await told(sliding, "account_data", pos)
    assert told_ == {"global": [], "rooms": {}}
    sliding.keep(ALICE, "org.example.a", None)
    sliding.keep(ALICE, "m.tag", {"tags": {}}, ROOM)
    _, told_ = await told(sliding, "account_data", pos)
    assert told_["global"] == [{"type": "org.example.a", "content": {}}]
    assert told_["rooms"] == {ROOM: [{"type": "m.tag", "content": {"tags": {}}}]}


async def test_account_data_of_a_room_out_of_scope_is_caught_up_with(sliding):
    sliding.create(OTHER, ALICE)
    sliding.create(ROOM, ALICE)
    sliding.keep(ALICE, "org.example.a", {"n": 1}, OTHER)
    sliding.keep(ALICE, "org.example.b", {"n": 1}, OTHER)
    one, two = room_list(last=0), room_list(last=1)
    pos, told_ = await told(sliding, "account_data", asked=one)
    assert told_["rooms"] == {}
    pos, told_ = await told(sliding, "account_data", pos, asked=two)
    assert [event["type"] for event in told_["rooms"][OTHER]] == ["org.example.a", "org.example.b"]
    pos, _ = await told(sliding, "account_data", pos, asked=one)
    sliding.keep(ALICE, "org.example.b", {"n": 2}, OTHER)
    pos, told_ = await told(sliding, "account_data", pos, asked=one)
    assert told_["rooms"] == {}
    pos, told_ = await told(sliding, "account_data", pos, asked=two)
    assert told_["rooms"] == {OTHER: [{"type": "org.example.b", "content": {"n": 2}}]}
    assert (await told(sliding, "account_data", pos, asked=two))[1] == {"global": [], "rooms": {}}


async def test_receipts_at_first_are_ones_own_and_those_of_what_is_shown(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    old, shown = (sliding.send(ROOM, ALICE, body=str(number)) for number in range(2))
    sliding.read_up_to(ROOM, ALICE, old)
    sliding.read_up_to(ROOM, BOB, old)
    sliding.read_up_to(ROOM, BOB, shown, "m.read.private")

    pos, first = await told(sliding, "receipts")
    event = first["rooms"][ROOM]
    assert event["type"] == "m.receipt"
    assert {event_id: set(types["m.read"]) for event_id, types in event["content"].items()} == {old: {ALICE}}
    sliding.read_up_to(ROOM, BOB, shown)
    pos, second = await told(sliding, "receipts", pos)
    assert set(second["rooms"][ROOM]["content"]) == {shown}
    assert (await told(sliding, "receipts", pos))[1] == {"rooms": {}}
    fresh = (await told(sliding, "receipts"))[1]["rooms"][ROOM]["content"]
    assert {event_id: set(types["m.read"]) for event_id, types in fresh.items()} == {
        old: {ALICE}, shown: {BOB}
    }  # fmt: skip


async def test_receipts_of_a_room_out_of_scope_are_caught_up_with(sliding):
    sliding.create(OTHER, ALICE)
    sliding.create(ROOM, ALICE)
    (read, *_) = sliding.event_ids(OTHER)
    one, two = room_list(last=0), room_list(last=1)
    pos, _ = await told(sliding, "receipts", asked=two)
    sliding.read_up_to(OTHER, ALICE, read)
    pos, first = await told(sliding, "receipts", pos, asked=one)
    assert first == {"rooms": {}}
    pos, _ = await told(sliding, "receipts", pos, asked=one)
    _, caught = await told(sliding, "receipts", pos, asked=two)
    assert set(caught["rooms"][OTHER]["content"]) == {read}


async def test_typing_is_told_as_it_changes_without_those_who_are_ignored(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    pos, first = await told(sliding, "typing")
    assert first == {"rooms": {}}
    sliding.types(ROOM, ALICE, BOB)
    pos, second = await told(sliding, "typing", pos)
    assert second["rooms"][ROOM] == {"type": "m.typing", "content": {"user_ids": [ALICE, BOB]}}
    assert (await told(sliding, "typing"))[1]["rooms"][ROOM]["content"]["user_ids"] == [ALICE, BOB]
    pos, _ = await told(sliding, "typing")
    sliding.ignore(ALICE, BOB)
    sliding.types(ROOM, BOB)
    _, third = await told(sliding, "typing", pos)
    assert third["rooms"][ROOM]["content"]["user_ids"] == []


async def test_extensions_are_of_the_lists_and_subscriptions_that_they_name(sliding):
    for room_id in (OTHER, ROOM):
        sliding.create(room_id, ALICE)
        sliding.types(room_id, ALICE)
    asked = room_list(last=0) | {"room_subscriptions": {OTHER: {"timeline_limit": 1}}}
    for options, expected in (
        ({}, {ROOM, OTHER}), ({"lists": []}, {OTHER}), ({"rooms": []}, {ROOM}),
        ({"lists": ["none"], "rooms": ["!none:example.org"]}, set()),
        ({"lists": ["all"], "rooms": ["*"]}, {ROOM, OTHER}),
    ):  # fmt: skip
        _, typing = await told(sliding, "typing", asked=asked, **options)
        assert set(typing["rooms"]) == expected


async def test_what_an_extension_tells_ends_a_poll_and_what_it_need_not_tell_does_not(sliding):
    sliding.create(ROOM, ALICE)
    asked = extended("typing")
    asked["extensions"]["receipts"] = {"enabled": True}
    for act in (
        lambda: sliding.types(ROOM, ALICE),
        lambda: sliding.read_up_to(ROOM, ALICE, sliding.event_ids(ROOM)[0]),
    ):
        pos = (await sliding.ask(ALICE, asked))["pos"]
        waiting = asyncio.ensure_future(sliding.ask(ALICE, asked, pos, timeout_ms=30_000))
        for _ in range(5):
            await asyncio.sleep(0)
        sliding.keep(ALICE, "org.example.a", {})  # not asked for
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
        act()
        assert (await waiting)["rooms"] == {}


async def test_messages_to_devices_and_keys_are_empty_in_their_shape(sliding):
    asked = {"extensions": {"to_device": {"enabled": True, "limit": 100}, "e2ee": {"enabled": True}}}
    first = await sliding.ask(ALICE, asked)
    assert first["rooms"] == first["lists"] == {}
    assert first["extensions"]["to_device"]["events"] == []
    assert first["extensions"]["e2ee"] == {
        "device_one_time_keys_count": {"signed_curve25519": 0}, "device_unused_fallback_key_types": []
    }  # fmt: skip
    place = asked["extensions"]["to_device"]["since"] = first["extensions"]["to_device"]["next_batch"]
    second = await sliding.ask(ALICE, asked, first["pos"])
    assert second["extensions"]["to_device"] == {"next_batch": place, "events": []}
    assert second["extensions"]["e2ee"]["device_lists"] == {"changed": [], "left": []}


async def test_an_extension_that_was_off_for_once_goes_on_from_where_it_was(sliding):
    sliding.create(ROOM, ALICE)
    sliding.keep(ALICE, "org.example.a", {"n": 1})
    both = room_list() | {"extensions": {"account_data": {"enabled": True}, "receipts": {"enabled": True}}}
    first = await sliding.ask(ALICE, both)
    sliding.keep(ALICE, "org.example.a", None)
    sliding.keep(ALICE, "org.example.b", {"n": 1}, ROOM)
    (read, *_) = sliding.event_ids(ROOM)
    sliding.read_up_to(ROOM, ALICE, read)
    second = await sliding.ask(ALICE, room_list(), first["pos"])
    third = await sliding.ask(ALICE, both, second["pos"])
    told_ = third["extensions"]["account_data"]
    assert told_["global"] == [{"type": "org.example.a", "content": {}}]
    assert told_["rooms"] == {ROOM: [{"type": "org.example.b", "content": {"n": 1}}]}
    assert set(third["extensions"]["receipts"]["rooms"][ROOM]["content"]) == {read}


async def test_an_extension_that_is_on_later_tells_of_the_timeline_that_was_told_before(sliding):
    sliding.create(ROOM, ALICE)
    sliding.member(ROOM, BOB, "join")
    said = sliding.send(ROOM, ALICE, body="hello")
    sliding.read_up_to(ROOM, BOB, said)
    first = await sliding.ask(ALICE, room_list())
    _, told_ = await told(sliding, "receipts", first["pos"])
    assert set(told_["rooms"][ROOM]["content"]) == {said}
    _, told_ = await told(sliding, "account_data", first["pos"])
    assert [event["type"] for event in told_["global"]] == ["m.push_rules"]
