"""Two matrix-nio clients register, meet in a room and send each other messages, both at once.

Usage: two_people.py BASE_URL MESSAGES_EACH. Exits 0 if both saw the same order, none lost, none twice.
"""

import asyncio
import sys

import nio


class Person:
    """One nio client and what it saw."""

    def __init__(self, base_url, name):
        self.name = name
        self.client = nio.AsyncClient(base_url, name)
        self.seen = []
        self.client.add_event_callback(self.note, nio.RoomMessageText)

    async def note(self, _room, event):
        self.seen.append((event.event_id, event.sender, event.body))

    async def register(self):
        answer = await self.client.register(self.name, "correct horse battery staple", device_name="scenario")
        assert isinstance(answer, nio.RegisterResponse), answer

    async def send_all(self, room_id, count):
        for number in range(count):
            content = {"msgtype": "m.text", "body": f"{self.name} {number}"}
            answer = await self.client.room_send(
                room_id, "m.room.message", content, ignore_unverified_devices=True
            )
            assert isinstance(answer, nio.RoomSendResponse), answer

    async def sync_until(self, count):
        while len(self.seen) < count:
            answer = await self.client.sync(timeout=10_000)
            assert isinstance(answer, nio.SyncResponse), answer
            for room in answer.rooms.join.values():
                assert not room.timeline.limited or len(self.seen) == 0, (
                    "a gap in the timeline of a live client"
                )


async def converse(base_url, count):
    alice, bob = Person(base_url, "alice"), Person(base_url, "bob")
    for person in (alice, bob):
        await person.register()
        # A live client that falls behind by a burst still sees every event: no gaps at this limit.
        await person.client.sync(timeout=0, sync_filter={"room": {"timeline": {"limit": 1000}}})
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
