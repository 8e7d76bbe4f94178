"""Sending to devices where others do the same at the same time, or the database does not answer."""

import asyncio

import orjson
import pytest

from homeserver.core.errors import Unavailable
from homeserver.core.requester import Requester
from homeserver.e2ee.inbox_sizes import InboxSizes
from homeserver.e2ee.to_device import ToDevice
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.observation import ignore_observations
from storage.journal import Journal
from storage.tables import to_device
from storage.writers import Writers

ALICE = "@alice:localhost"
SENDER = Requester("@bob:localhost", "PHONE", 1)
TO = {ALICE: {"*": {"n": 1}}}


class Nobody:
    """Ignores nobody, and is reached by nothing."""

    async def ignoring(self, user_id, among):
        return ()

    def send(self, write, sender, event_type, messages):
        write.order_key = "sent to others"


@pytest.fixture
async def published():
    return []


@pytest.fixture
async def service(database, published):
    for user_id in (ALICE, SENDER.user_id):
        await database.execute("INSERT INTO accounts (user_id, created_ms) VALUES (%b, 0)", user_id)
    await database.execute("INSERT INTO devices (user_id, device_id, created_ms) VALUES (%b, 'A', 0)", ALICE)
    clock = SystemClock()
    lease = await Writers(database, clock).acquire()
    journal = Journal(database, lease, clock, published.extend, ignore_observations)
    nobody = Nobody()
    yield ToDevice(
        queries=database, journal=journal, sizes=InboxSizes(database, clock, messages_max=100),
        ignoring=nobody, remote=nobody, observer=ignore_observations, server_name="localhost",
    )  # fmt: skip
    await journal.close()


async def waiting(database):
    return await database.fetch(
        "SELECT user_id, device_id FROM device_inboxes JOIN devices ON nid = device_nid"
    )


async def test_what_another_process_sent_in_the_same_moment_is_not_sent_again(service, database):
    ignoring = service._ignoring.ignoring

    async def overtaken(user_id, among):
        await database.execute(
            "INSERT INTO to_device_transactions VALUES (1, %b, 'PHONE', 'm.test', 't')", SENDER.user_id
        )
        return await ignoring(user_id, among)

    service._ignoring.ignoring = overtaken
    await service.send(SENDER, "m.test", "t", TO)

    assert await waiting(database) == []


async def test_each_device_gets_its_own_where_one_between_them_is_full(service, database, published):
    async def full_among(devices):
        return {(ALICE, "B")}.intersection(devices)

    service._sizes.full_among = full_among
    for device_id in "BC":
        await database.execute(
            "INSERT INTO devices (user_id, device_id, created_ms) VALUES (%b, %b, 0)", ALICE, device_id
        )
    contents = {device_id: {"for": device_id} for device_id in "CBA"}
    await service.send(SENDER, "m.test", "t", {ALICE: contents})

    (change,) = published
    for device_id in "ABC":
        rows = await to_device.waiting(database, ALICE, device_id, after=0, limit=10)
        told = [(change.position, event) for _, name, event in change.messages if name == device_id]
        assert rows == told
        assert [orjson.loads(event)["content"] for _, event in rows] == (
            [] if device_id == "B" else [contents[device_id]]
        )


async def test_what_cannot_be_stored_is_said_and_can_be_sent_again(service, database, published):
    await database.execute("ALTER TABLE device_inboxes ADD CONSTRAINT broken CHECK (position < 0)")
    with pytest.raises(Unavailable):
        await service.send(SENDER, "m.test", "t", TO)
    assert published == []
    await database.execute("ALTER TABLE device_inboxes DROP CONSTRAINT broken")

    await service.send(SENDER, "m.test", "t", TO)
    assert await waiting(database) == [(ALICE, "A")]
    assert [change.messages[0][:2] for change in published] == [(ALICE, "A")]


async def test_a_client_that_goes_away_does_not_stop_its_sending(service, database, published):
    asking = asyncio.create_task(service.send(SENDER, "m.test", "t", TO))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking

    await service.send(SENDER, "m.test", "t", TO)  # waits for the first one, or finds it done
    assert await waiting(database) == [(ALICE, "A")]
    assert len(published) == 1


async def test_messages_to_other_servers_are_added_to_the_same_write(service):
    writes = []
    append = service._journal.append
    service._journal.append = lambda write: writes.append(write) or append(write)
    await service.send(SENDER, "m.test", "t", {**TO, "@eve:elsewhere.org": {"X": {}}})

    assert [write.order_key for write in writes] == ["sent to others"]
    assert len(writes[0].rows) == 2  # the message to Alice, and the transaction
