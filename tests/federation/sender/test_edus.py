"""What is worth nothing later is told to servers while they answer; changes of devices are told always."""

import asyncio

import pytest

from homeserver.core.changes import DeviceListChange, PresenceChange, ReceiptChange, TypingChange
from storage.tables import sending
from storage.tables.device_lists import DEVICE_LIST_UPSERT, stream_id_of
from storage.write import Write
from tests.doubles.sending import ALICE

B, C, CAROL = "b.example", "c.example", "@carol:c.example"
LISTS = "m.device_list_update"


def publish(server, *changes):
    for reader in server.published.readers:
        reader(changes)


def typing(room_id, *user_ids):
    return TypingChange(1, room_id, user_ids)


def receipt(room_id, event_id, *, user_id=ALICE, type_="m.read", thread_id=None):
    return ReceiptChange(1, room_id, user_id, type_, thread_id, event_id, 1_000, 1)


def presence(user_id, text="online", *, is_news=True, status_msg=None):
    return PresenceChange(1, user_id, text, 1_760_000_000_000, text == "online", status_msg, is_news)


async def change_list(server, user_id, told_to=None):
    """Let a user's devices change, as the journal has it."""
    write = Write()
    change = DeviceListChange(server.journal.next_position(), user_id, told_to)
    write.add(DEVICE_LIST_UPSERT, change.position, user_id, told_to or "")
    write.changes.append(change)
    await server.journal.append(write)
    return change


@pytest.mark.parametrize("is_at_hand", [True, False])
async def test_who_begins_and_ends_typing_is_told_to_the_servers_in_the_room(server, room_id, is_at_hand):
    if is_at_hand:
        await server.room_servers.read(room_id)
    publish(server, typing(room_id, ALICE, "@bob:b.example"))
    await server.settle()
    publish(server, typing(room_id, "@bob:b.example"))
    await server.settle()

    assert server.others.edus(B, "m.typing") == [
        {"room_id": room_id, "typing": True, "user_id": ALICE},
        {"room_id": room_id, "typing": False, "user_id": ALICE},
    ]


async def test_typing_that_was_long_ago_is_not_told(server, room_id):
    await server.room_servers.read(room_id)
    server.others.gate = asyncio.Event()
    await server.say(room_id, ALICE)
    publish(server, typing(room_id, ALICE))
    server.clock.ms += 60_000
    server.others.gate.set()
    await server.settle()

    assert server.others.edus(B) == []


async def test_who_types_on_is_told_again_before_others_forget_it(server, room_id):
    await server.room_servers.read(room_id)
    publish(server, typing(room_id, ALICE))
    await server.settle()
    for _ in range(4):
        server.clock.ms += 20_000
        server.edus.refresh()
        await server.settle()
    publish(server, typing(room_id))
    await server.settle()
    server.clock.ms += 60_000
    server.edus.refresh()
    await server.settle()

    assert [edu["typing"] for edu in server.others.edus(B, "m.typing")] == [True, True, True, False]


async def test_who_is_here_is_told_again_before_others_forget_it(server, room_id):
    publish(server, presence(ALICE))
    await server.settle()
    later = presence(ALICE, is_news=False)
    later.last_active_ms = server.clock.ms + 1_100_000
    publish(server, later)
    for _ in range(2):
        server.clock.ms += 1_100_000
        server.edus.refresh()
        await server.settle()
    publish(server, presence(ALICE, "offline"))
    await server.settle()
    server.clock.ms += 3_600_000
    server.edus.refresh()
    await server.settle()

    pushes = [push for edu in server.others.edus(B, "m.presence") for push in edu["push"]]
    assert [push["presence"] for push in pushes] == ["online", "online", "offline"]
    assert 1_000_000 < pushes[1]["last_active_ago"] < 1_200_000


async def test_receipts_of_a_room_are_told_together_and_those_of_threads_apart(server, room_id):
    await server.room_servers.read(room_id)
    server.others.gate = asyncio.Event()
    await server.say(room_id, ALICE)
    publish(
        server,
        receipt(room_id, "$old"),
        receipt(room_id, "$new"),
        receipt(room_id, "$two", user_id="@two:a.example"),
        receipt(room_id, "$thread", thread_id="$root"),
        receipt(room_id, "$private", type_="m.read.private", user_id="@three:a.example"),
        receipt(room_id, "$theirs", user_id="@bob:b.example"),
    )
    server.others.gate.set()
    await server.settle()

    assert server.others.edus(B, "m.receipt") == [
        {room_id: {"m.read": {
            ALICE: {"data": {"ts": 1_000}, "event_ids": ["$new"]},
            "@two:a.example": {"data": {"ts": 1_000}, "event_ids": ["$two"]},
        }}},
        {room_id: {"m.read": {
            ALICE: {"data": {"thread_id": "$root", "ts": 1_000}, "event_ids": ["$thread"]}
        }}},
    ]  # fmt: skip


async def test_presence_is_told_to_servers_that_share_a_room(server, room_id):
    publish(server, presence(ALICE, status_msg="hi"), presence("@bob:b.example"), presence("@x:a.example"))
    await server.settle()
    assert [push["user_id"] for edu in server.others.edus(B, "m.presence") for push in edu["push"]] == [ALICE]
    (push,) = server.others.edus(B, "m.presence")[0]["push"]
    assert push["presence"] == "online"
    assert push["currently_active"] is True
    assert push["status_msg"] == "hi"
    assert push["last_active_ago"] >= 0

    await server.let_in(room_id, CAROL)
    publish(server, presence(ALICE, "offline"), presence(ALICE, is_news=False))
    await server.settle()
    assert server.others.edus(C, "m.presence")[0]["push"][0]["presence"] == "offline"

    await server.let_in(room_id, CAROL, "leave")
    publish(server, presence(ALICE, "online"))
    await server.settle()
    assert len(server.others.edus(C, "m.presence")) == 1
    assert len(server.others.edus(B, "m.presence")) == 3


async def test_a_server_that_does_not_answer_misses_what_is_worth_nothing_later(server, room_id):
    await server.room_servers.read(room_id)
    server.others.down = {B}
    await server.say(room_id, ALICE)
    await server.settle()
    publish(server, typing(room_id, ALICE), receipt(room_id, "$old"), presence(ALICE))
    await server.settle()
    server.others.down = set()
    await server.later(60_000)

    assert server.others.edus(B) == []


async def test_of_much_that_is_worth_nothing_later_the_latest_is_kept(server, room_id, monkeypatch):
    monkeypatch.setattr("federation.sender.ephemeral_queue.KEPT_MAX", 3)
    await server.room_servers.read(room_id)
    server.others.gate = asyncio.Event()
    await server.say(room_id, ALICE)
    publish(server, *[receipt(room_id, f"${n}", user_id=f"@{n}:a.example") for n in range(6)])
    server.others.gate.set()
    await server.settle()

    (edu,) = server.others.edus(B, "m.receipt")
    assert list(edu[room_id]["m.read"]) == ["@3:a.example", "@4:a.example", "@5:a.example"]


async def test_a_change_of_devices_is_told_so_that_the_other_server_asks_for_the_list(server, room_id):
    change = await change_list(server, ALICE)
    await server.settle()

    # As if an update before this one had been lost.
    stream_id = stream_id_of(change.position)
    assert server.others.edus(B, LISTS) == [{
        "user_id": ALICE, "device_id": "D1", "keys": {"user_id": "x"}, "stream_id": stream_id,
        "prev_id": [stream_id - 1],
    }]  # fmt: skip
    assert server.others.edus(B, "m.signing_key_update") == [{"user_id": ALICE, "master_key": {"usage": []}}]


async def test_who_has_no_devices_left_is_told_as_well_and_who_is_gone_is_not(server, room_id):
    server.device_lists.devices = []
    await change_list(server, ALICE)
    await server.settle()
    assert server.others.edus(B, LISTS)[0]["deleted"] is True

    gone = "@gone:a.example"
    await server.send(room_id, gone, "m.room.member", {"membership": "join"}, gone)
    await change_list(server, gone)
    await server.settle()
    assert len(server.others.edus(B, LISTS)) == 1
    assert not server.sender.queue(B).users


async def test_changes_of_others_and_those_for_the_user_alone_are_not_told(server, room_id):
    await change_list(server, "@bob:b.example")
    await change_list(server, ALICE, ALICE)
    await server.settle()

    assert server.others.taken == []


@pytest.mark.parametrize("is_noted", [True, False])
async def test_changes_of_devices_outlive_outages_and_crashes_and_come_once(server, room_id, is_noted):
    server.others.down = {B}
    for _ in range(3):
        change = await change_list(server, ALICE)
        await server.settle()
    if is_noted:
        await server.sender.tick()
        assert (await sending.lacking(server.database))[B].users.keys() == {ALICE}
    await server.crash_sender()
    server.others.down = set()
    await server.start_sender()
    await server.later(3_600_000)

    (edu,) = server.others.edus(B, LISTS)
    assert edu["stream_id"] == stream_id_of(change.position)
    await server.sender.tick()
    assert await sending.lacking(server.database) == {}
