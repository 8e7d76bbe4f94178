"""Two matrix-nio clients register, meet in a room and send each other messages, both at once.

Usage: two_people.py BASE_URL MESSAGES_EACH. Exits 0 if both saw the same order, none lost, none twice.
The server may die meanwhile: what was not answered is sent again under its transaction ID. Each answer
is told on a line of its own, so that whoever watches can choose the moment.
"""

import asyncio
import contextlib
import sys

import aiohttp
import nio

# A live client that falls behind by a burst still sees every event: no gaps at this limit.
_NO_GAPS = {"room": {"timeline": {"limit": 1000}}}
_AWAY = (aiohttp.ClientError, ConnectionError, TimeoutError)


class Person:
    """One nio client and what it saw."""

    def __init__(self, base_url, name):
        self.name = name
        self.client = nio.AsyncClient(base_url, name)
        self.seen = []
        self.entered = set()
        self.client.add_event_callback(self.note, nio.RoomMessageText)

    async def note(self, _room, event):
        self.seen.append((event.event_id, event.sender, event.body))

    async def register(self):
        answer = await self.client.register(self.name, "correct horse battery staple", device_name="scenario")
        assert isinstance(answer, nio.RegisterResponse), answer

    async def send_all(self, room_id, count):
        for number in range(count):
            content = {"msgtype": "m.text", "body": f"{self.name} {number}"}
            while not await self.sent(room_id, content, f"t{number}"):  # noqa: ASYNC110 - the server is away, nobody would set an event
                await asyncio.sleep(0.05)
            sys.stdout.write(f"acknowledged {self.name} {number}\n")
            sys.stdout.flush()

    async def sent(self, room_id, content, transaction_id):
        try:
            answer = await self.client.room_send(
                room_id, "m.room.message", content, tx_id=transaction_id, ignore_unverified_devices=True
            )
        except _AWAY:
            return False
        return isinstance(answer, nio.RoomSendResponse)

    async def sync_until(self, count):
        while len(self.seen) < count:
            with contextlib.suppress(*_AWAY):
                answer = await self.client.sync(timeout=10_000, sync_filter=_NO_GAPS)
                if isinstance(answer, nio.SyncResponse):
                    for room_id, room in answer.rooms.join.items():
                        # A room that one just came into begins anew.
                        begins = room_id not in self.entered
                        assert begins or not room.timeline.limited, "a gap in the timeline of a live client"
                        self.entered.add(room_id)
                    continue
            await asyncio.sleep(0.05)


async def converse(base_url, count):
    alice, bob = Person(base_url, "alice"), Person(base_url, "bob")
    for person in (alice, bob):
        await person.register()
        await person.client.sync(timeout=0, sync_filter=_NO_GAPS)
    created = await alice.client.room_create(name="A first conversation", invite=[bob.client.user_id])
    assert isinstance(created, nio.RoomCreateResponse), created
    room_id = created.room_id
    await bob.client.sync(timeout=10_000)
    assert room_id in bob.client.invited_rooms, "bob sees the invitation"
    joined = await bob.client.join(room_id)
    assert isinstance(joined, nio.JoinResponse), joined
    async with asyncio.timeout(90):
        await asyncio.gather(
            alice.send_all(room_id, count),
            bob.send_all(room_id, count),
            alice.sync_until(2 * count),
            bob.sync_until(2 * count),
        )
    assert alice.seen == bob.seen, "both see the same order"
    assert len(set(alice.seen)) == 2 * count, "none lost, none twice"
    for person in (alice, bob):
        own = [body for _, sender, body in alice.seen if sender == person.client.user_id]
        assert own == [f"{person.name} {number}" for number in range(count)], "each sender's order is kept"
        await person.client.close()
    sys.stdout.write(f"{len(alice.seen)} messages, the same order for both\n")


if __name__ == "__main__":
    asyncio.run(converse(sys.argv[1], int(sys.argv[2])))
