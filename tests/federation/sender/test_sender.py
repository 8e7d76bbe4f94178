"""Every server gets the events that it is to get, and no other."""

import asyncio

import pytest

from federation.sender import catch_up, queue
from federation.sender.delivery import PduRefused, TransactionRefused, TransactionSent
from storage.tables import sending
from tests.doubles.sending import ALICE, SendingServer

B, C = "b.example", "c.example"


async def kick(server, room_id, user_id, membership="leave"):
    return await server.send(room_id, ALICE, "m.room.member", {"membership": membership}, user_id)


async def rows_of(server):
    return {name: lacking.rooms for name, lacking in (await sending.lacking(server.database)).items()}


async def test_an_event_of_ours_is_sent_as_it_is_signed_to_each_server_in_the_room(server, room_id):
    await server.let_in(room_id, "@carol:c.example")
    said = await server.say(room_id, ALICE, "hello")
    await server.settle()

    assert server.others.pdus(B) == server.others.pdus(C) == [said.pdu]
    (body,) = server.others.bodies(B)
    assert body["origin"] == "a.example"
    assert body["edus"] == []


async def test_a_room_of_ours_alone_is_sent_nowhere(server):
    room_id = await server.create(ALICE, preset="public_chat")
    await server.say(room_id, ALICE)
    await server.settle()

    assert server.others.taken == []
    assert server.sender.queues == {}


async def test_what_other_servers_said_is_not_sent_on_unless_we_let_its_sender_in(server, room_id):
    await server.let_in(room_id, "@carol:c.example")
    await server.settle()
    assert server.others.taken == []

    change = server.published[-1]
    change.is_relayed = True
    server.sender.follow([change])
    await server.settle()
    assert server.others.pdus(B) == [change.event.pdu]
    assert server.others.pdus(C) == []


@pytest.mark.parametrize("membership", ["leave", "ban"])
async def test_who_is_taken_out_is_told_so_and_nothing_later(server, room_id, membership):
    await server.say(room_id, ALICE, "before")
    await kick(server, room_id, "@bob:b.example", membership)
    await server.say(room_id, ALICE, "after")
    await server.settle()

    assert server.others.said(B) == ["before"]
    assert server.others.pdus(B)[-1]["content"]["membership"] == membership


async def test_an_invite_is_sent_to_those_in_the_room_and_not_to_the_server_that_it_is_for(server, room_id):
    await server.send(room_id, ALICE, "m.room.member", {"membership": "invite"}, "@carol:c.example")
    await server.send(room_id, ALICE, "m.room.member", {"membership": "invite"}, "@two:b.example")
    await server.settle()

    assert [pdu["state_key"] for pdu in server.others.pdus(B)] == ["@carol:c.example", "@two:b.example"]
    assert server.others.pdus(C) == []


async def test_an_invite_that_is_taken_back_is_told_to_the_server_that_it_was_for(server, room_id):
    await server.send(room_id, ALICE, "m.room.member", {"membership": "invite"}, "@carol:c.example")
    await kick(server, room_id, "@carol:c.example")
    await server.settle()

    assert [pdu["content"]["membership"] for pdu in server.others.pdus(C)] == ["leave"]


async def test_no_word_is_sent_to_a_server_with_which_we_do_not_speak(server, room_id):
    await server.let_in(room_id, "@mallory:denied.example")
    await server.say(room_id, ALICE)
    await server.settle()

    assert {name for name, *_ in server.others.taken} == {B}


async def test_what_came_while_a_transaction_was_on_its_way_is_sent_together(server, room_id):
    server.others.gate = asyncio.Event()
    for number in range(61):
        await server.say(room_id, ALICE, str(number))
    server.others.gate.set()
    await server.settle()

    assert [len(body["pdus"]) for body in server.others.bodies(B)] == [1, 50, 10]
    assert server.others.said(B) == [str(number) for number in range(61)]
    ids = [transaction_id for _, transaction_id, _ in server.others.taken]
    assert len(set(ids)) == 3


async def test_a_transaction_is_sent_again_as_it_was_once_the_server_answers(server, room_id):
    server.others.down = {B}
    await server.say(room_id, ALICE, "one")
    await server.settle()
    await server.say(room_id, ALICE, "two")
    await server.later(1_000)
    assert len(server.others.tried) == 1
    server.others.down = set()
    await server.later(10_000)

    assert server.others.said(B) == ["one", "two"]
    tried = [transaction_id for _, transaction_id in server.others.tried]
    assert tried[0] == tried[1] != tried[2]
    await server.sender.tick()
    assert await rows_of(server) == {}


async def test_a_server_that_is_heard_from_is_asked_at_once(server, room_id):
    server.others.down = {B}
    for _ in range(12):
        await server.say(room_id, ALICE, "hello")
        await server.later(3_600_000)
    server.others.down = set()
    await server.later(1_000)
    assert server.others.said(B) == []
    server.destinations.heard_from(B)
    await server.settle()

    assert server.others.said(B) == ["hello"] * 12


async def test_after_a_crash_all_is_sent_that_was_not_acknowledged(server, room_id):
    server.others.gate = asyncio.Event()
    await server.say(room_id, ALICE, "one")
    await server.say(room_id, ALICE, "two")
    await server.crash_sender()
    await server.say(room_id, ALICE, "three")
    server.others.gate = None
    await server.start_sender()
    await server.later(0)

    assert server.others.said(B) == ["one", "two", "three"]


async def test_after_a_crash_nothing_is_sent_that_was_acknowledged_and_noted(server, room_id):
    await server.say(room_id, ALICE, "one")
    await server.settle()
    await server.sender.tick()
    await server.crash_sender()
    server.others.taken.clear()
    await server.start_sender()
    await server.later(0)

    assert server.others.taken == []


async def test_a_server_that_was_gone_gets_after_a_restart_what_it_lacks_and_no_other_server_does(
    server, room_id
):
    await server.let_in(room_id, "@carol:c.example")
    server.others.down = {B}
    for number in range(3):
        await server.say(room_id, ALICE, str(number))
        await server.later(0)
    assert server.others.said(C) == ["0", "1", "2"]
    assert list(await rows_of(server)) == [B]
    await server.crash_sender()
    server.others.taken.clear()
    await server.start_sender()
    server.others.down = set()
    await server.later(3_600_000)

    assert server.others.said(B) == ["0", "1", "2"]
    assert server.others.said(C) == []


async def test_a_server_that_left_meanwhile_gets_what_was_said_until_then(server, room_id):
    server.others.down = {B}
    await server.say(room_id, ALICE, "one")
    await server.settle()
    await kick(server, room_id, "@bob:b.example")
    await server.say(room_id, ALICE, "secret")
    await server.let_in(room_id, "@bob:b.example")
    await server.say(room_id, ALICE, "two")
    await server.settle()
    server.others.down = set()
    await server.later(60_000)

    assert server.others.said(B) == ["one", "two"]
    assert [pdu["content"].get("membership") for pdu in server.others.pdus(B)] == [None, "leave", None]


async def test_who_lacks_more_than_is_worth_sending_gets_the_last_of_it(server, room_id, monkeypatch):
    monkeypatch.setattr(catch_up, "EVENTS_MAX", 3)
    server.others.down = {B}
    await server.say(room_id, ALICE, "on its way")
    await server.settle()
    for number in range(6):
        await server.say(room_id, ALICE, str(number))
    server.others.down = set()
    await server.later(60_000)

    assert server.others.said(B) == ["on its way", "3", "4", "5"]


async def test_a_server_that_is_slow_is_sent_from_the_room_what_does_not_fit_into_memory(
    server, room_id, monkeypatch
):
    monkeypatch.setattr(queue, "EVENTS_QUEUED_MAX", 5)
    server.others.gate = asyncio.Event()
    for number in range(60):
        await server.say(room_id, ALICE, str(number))
    assert len(server.sender.queues[B].live) <= 5
    server.others.gate.set()
    await server.settle()

    assert server.others.said(B) == [str(number) for number in range(60)]


async def test_an_event_that_a_server_takes_for_the_end_of_the_world_does_not_stop_the_others(
    server, room_id
):
    def refuses(body):
        return 400 if any(pdu["content"].get("body") == "3" for pdu in body["pdus"]) else None

    server.others.refuses = {B: refuses}
    server.others.gate = asyncio.Event()
    for number in range(8):
        await server.say(room_id, ALICE, str(number))
    server.others.gate.set()
    await server.settle()

    assert server.others.said(B) == ["0", "1", "2", "4", "5", "6", "7"]
    refused = [one for one in server.observations if isinstance(one, TransactionRefused)]
    assert refused[-1].pieces == 1


async def test_a_server_that_does_not_know_us_is_left_alone_and_asked_again(server, room_id):
    server.others.refuses = {B: 401}
    await server.say(room_id, ALICE, "one")
    await server.settle()
    assert server.destinations.is_failing(B)
    server.others.refuses = {}
    await server.later(60_000)

    assert server.others.said(B) == ["one"]


async def test_what_a_server_says_against_an_event_is_observed(server, room_id):
    server.others.gate = asyncio.Event()
    said = await server.say(room_id, ALICE)
    server.others.errors = {said.event_id: "Not allowed.", "$other": "Not sent."}
    server.others.gate.set()
    await server.settle()

    refused = [one for one in server.observations if isinstance(one, PduRefused)]
    assert refused == [PduRefused(B, said.event_id, "Not allowed.")]
    sent = [one for one in server.observations if isinstance(one, TransactionSent)]
    assert (sent[-1].destination, sent[-1].pdus, sent[-1].edus) == (B, 1, 0)


async def test_a_redacted_event_is_sent_as_redacted(server, room_id):
    server.others.down = {B}
    await server.say(room_id, ALICE, "on its way")
    await server.settle()
    said = await server.say(room_id, ALICE, "secret")
    await server.send(
        room_id, ALICE, "m.room.redaction", {"redacts": said.event_id}, redacts=said.event_id
    )
    server.others.down = set()
    await server.later(60_000)

    assert [pdu["content"] for pdu in server.others.pdus(B)][1] == {}


async def test_no_more_servers_are_sent_to_at_once_than_set_but_for_our_own(server, monkeypatch):
    monkeypatch.setattr("federation.sender.sender.DELIVERIES_MAX", 2)
    room_id = await server.create(ALICE, preset="public_chat")
    for name in ("b", "c", "d", "e", "region"):
        await server.let_in(room_id, f"@bob:{name}.example")
    server.others.gate = asyncio.Event()
    await server.room_servers.read(room_id)
    await server.say(room_id, ALICE)
    assert len(server.sender._running) == 3
    server.others.gate.set()
    await server.settle()

    assert sorted(name for name, *_ in server.others.taken) == [
        "b.example", "c.example", "d.example", "e.example", "region.example",
    ]  # fmt: skip


async def test_a_stop_notes_what_is_on_its_way(server, room_id):
    server.others.gate = asyncio.Event()
    await server.say(room_id, ALICE, "one")
    await server.sender.close()

    assert list(await rows_of(server)) == [B]


async def test_a_room_that_is_not_at_hand_is_read_and_nothing_is_overtaken(database):
    server = await SendingServer(database).start()
    room_id = await server.create(ALICE, preset="public_chat")
    await server.let_in(room_id, "@bob:b.example")
    await server.crash_sender()
    await server.start_sender()
    sent = [server.say(room_id, ALICE, str(number)) for number in range(5)]
    await asyncio.gather(*sent)
    await kick(server, room_id, "@bob:b.example")
    await server.settle()
    await server.stop()

    said = server.others.said(B)
    assert sorted(said) == ["0", "1", "2", "3", "4"]
    assert server.others.pdus(B)[-1]["type"] == "m.room.member"
