"""Messages for devices of other servers arrive, in their order and under one ID, whatever happens."""

import pytest

from federation.sender import outbox
from federation.sender.outbox import RemoteOutboxFull
from homeserver.core.errors import BadJson, TooLarge
from storage.tables import remote_messages

B, C, BOB = "b.example", "c.example", "@bob:b.example"
DIRECT = "m.direct_to_device"


def ids(server, name):
    return [edu["message_id"] for edu in server.others.edus(name, DIRECT)]


async def test_a_message_is_sent_as_the_specification_says(server):
    await server.message({BOB: {"D": {"b": 1, "a": [1.5, "ü"]}}, "@al:b.example": {"*": {}}})
    await server.settle()

    (content,) = server.others.edus(B, DIRECT)
    assert content == {
        "sender": "@alice:a.example", "type": "m.test", "message_id": content["message_id"],
        "messages": {BOB: {"D": {"b": 1, "a": [1.5, "ü"]}}, "@al:b.example": {"*": {}}},
    }  # fmt: skip
    assert len(content["message_id"]) <= 32
    assert b'"messages":{"@al:b.example":{"*":{}},"@bob:b.example":{"D":{"a":[1.5,' in (
        server.others.taken[0][2]
    )


async def test_each_server_is_sent_what_is_for_its_users(server):
    await server.message({BOB: {"D": {}}, "@carol:c.example": {"D": {}}, "@m:denied.example": {"D": {}}})
    await server.settle()

    assert {name for name, *_ in server.others.taken} == {B, C}
    assert list(server.others.edus(C, DIRECT)[0]["messages"]) == ["@carol:c.example"]


async def test_what_arrived_is_forgotten(server):
    await server.message({BOB: {"D": {}}})
    await server.settle()

    assert await remote_messages.counts(server.database) == {}
    assert server.outbox.waiting(B) == 0


async def test_messages_wait_for_a_server_through_outages_and_restarts_and_keep_their_ids(server):
    server.others.down = {B}
    for number in range(5):
        await server.message({BOB: {"D": {"n": number}}})
        await server.settle()
    await server.crash_sender()
    await server.start_sender()
    assert server.outbox.waiting(B) == 5
    server.others.down = set()
    server.others.loses_answers = {B}
    await server.later(3_600_000)
    first = ids(server, B)
    await server.crash_sender()
    server.others.loses_answers = set()
    await server.start_sender()
    await server.later(3_600_000)

    assert len(set(first)) == 5
    assert ids(server, B) == first + first
    assert [
        edu["messages"][BOB]["D"]["n"] for edu in server.others.edus(B, DIRECT)
    ] == [0, 1, 2, 3, 4] * 2
    assert server.outbox.waiting(B) == 0


async def test_many_messages_come_in_several_transactions(server):
    server.others.down = {B}
    for number in range(150):
        await server.message({BOB: {"D": {"n": number}}})
    server.others.down = set()
    await server.later(3_600_000)

    assert [edu["messages"][BOB]["D"]["n"] for edu in server.others.edus(B, DIRECT)] == list(range(150))
    assert all(len(body["edus"]) <= 100 for body in server.others.bodies(B))


async def test_what_is_long_comes_in_several_edus(server):
    await server.message({f"@{n}:b.example": {"D": {"x": "y" * 40_000}} for n in range(4)})
    await server.settle()

    found = server.others.edus(B, DIRECT)
    assert len(found) == 4
    assert len(set(ids(server, B))) == 4


async def test_who_has_too_much_waiting_gets_no_more_and_the_operator_hears_of_it(server, monkeypatch):
    monkeypatch.setattr(server.outbox, "_waiting_max", 2)
    server.others.down = {B}
    for _ in range(3):
        await server.message({BOB: {"D": {}}, "@carol:c.example": {"D": {}}})
        await server.settle()

    assert server.outbox.waiting(B) == 2
    assert RemoteOutboxFull(B) in server.observations
    assert len(ids(server, C)) == 3


@pytest.mark.parametrize(
    ("content", "error"), [({"x": "\ud800"}, BadJson), ({"x": "y" * outbox.MESSAGE_BYTES_MAX}, TooLarge)]
)
async def test_what_cannot_be_sent_is_refused_before_it_is_stored(server, content, error):
    with pytest.raises(error):
        await server.message({BOB: {"D": content}})
    assert await remote_messages.counts(server.database) == {}


async def test_one_request_does_not_send_more_than_is_set(server, monkeypatch):
    monkeypatch.setattr(outbox, "WRITE_BYTES_MAX", 100)
    with pytest.raises(TooLarge):
        await server.message({f"@{n}:b.example": {"D": {"x": "y" * 30}} for n in range(4)})
