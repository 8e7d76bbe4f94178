"""What one server sends another takes in: whole servers, with nothing between them but a name."""

import pytest

from tests.doubles.federated_pair import hal, here, tess, there, wire  # noqa: F401 - fixtures
from tests.doubles.federated_servers import until

V3 = "/_matrix/client/v3"


@pytest.fixture
async def room_id(hal, tess, there):  # noqa: F811 - fixtures
    room_id = await hal.create(preset="public_chat")
    status, _ = await there.call("POST", f"{V3}/join/{room_id}?via=here.example", {}, token=tess.token)
    assert status == 200
    return room_id


async def test_two_who_talk_hear_each_other_in_order(hal, tess, room_id):  # noqa: F811 - fixtures
    for number in range(5):
        await hal.send(room_id, f"h{number}")
        await tess.send(room_id, f"t{number}")

    async def have_all():
        said = [await user.texts(room_id) for user in (hal, tess)]
        return all(len(texts) == 10 for texts in said)

    await until(have_all)
    for user in (hal, tess):
        texts = (await user.texts(room_id))[::-1]
        for name in "ht":
            assert [text for text in texts if text[0] == name] == [f"{name}{n}" for n in range(5)]


async def test_a_message_for_a_device_arrives(here, hal, there, tess):  # noqa: F811 - fixtures
    messages = {tess.user_id: {"*": {"secret": 1}}}
    status, _ = await here.call(
        "PUT", f"{V3}/sendToDevice/m.test/1", {"messages": messages}, token=hal.token
    )
    assert status == 200

    async def has_come():
        _, synced = await there.call("GET", f"{V3}/sync", token=tess.token)
        events = synced.get("to_device", {}).get("events", [])
        return events == [{"type": "m.test", "sender": hal.user_id, "content": {"secret": 1}}]

    await until(has_come)


async def test_who_types_and_reads_is_seen_on_the_other_server(
    here, hal, there, tess, room_id  # noqa: F811 - fixtures
):
    event_id = await hal.send(room_id, "hello")

    async def has_come():
        return await tess.texts(room_id) == ["hello"]

    await until(has_come)
    await there.call("POST", f"{V3}/rooms/{room_id}/receipt/m.read/{event_id}", {}, token=tess.token)
    await there.call(
        "PUT", f"{V3}/rooms/{room_id}/typing/{tess.user_id}", {"typing": True, "timeout": 30_000},
        token=tess.token,
    )  # fmt: skip

    async def is_seen():
        _, synced = await here.call("GET", f"{V3}/sync", token=hal.token)
        events = synced["rooms"]["join"][room_id]["ephemeral"]["events"]
        typing = [one["content"]["user_ids"] for one in events if one["type"] == "m.typing"]
        read = [one for one in events if one["type"] == "m.receipt" and tess.user_id in str(one)]
        return typing == [[tess.user_id]] and bool(read)

    await until(is_seen)


async def test_what_was_said_while_the_other_server_was_cut_off_comes_when_it_is_heard_from(
    hal, tess, room_id, wire  # noqa: F811 - fixtures
):
    wire.cut.add(("here.example", "there.example"))
    for number in range(5):
        await hal.send(room_id, str(number))
    wire.cut.clear()
    wire.servers["here.example"].federation.sender._destinations.heard_from("there.example")

    async def has_come():
        return (await tess.texts(room_id))[::-1] == [str(number) for number in range(5)]

    await until(has_come)
