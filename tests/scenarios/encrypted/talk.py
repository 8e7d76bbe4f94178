"""Messages in the encrypted room: sent, counted, and read by everybody."""

import asyncio
import time
from urllib.parse import quote

from tests.scenarios.same_view.people import Rest

AGREE_S = 100


class Talk:
    """What was said in a room, and who has to know it.

    Args:
        room_id: the encrypted room.
        rest: plain requests of a user in it.
    """

    def __init__(self, room_id, rest: Rest):
        self.room_id = room_id
        self._rest = rest
        self.said = {}
        self._numbers = {}

    async def say(self, device):
        """Send one message more from a device; whatever happens to the server, it is sent once."""
        number = self._numbers[device] = self._numbers.get(device, 0) + 1
        body = f"{device.name} {number}"
        event_id = await device.do("send", room_id=self.room_id, body=body, transaction_id=f"t{number}")
        assert event_id not in self.said
        self.said[event_id] = body
        return event_id

    async def say_all(self, counts):
        """Devices talk at once, each one message after the other, so many each."""
        await asyncio.gather(*(self._say_some(device, count) for device, count in counts.items()))

    async def _say_some(self, device, count):
        for _ in range(count):
            await self.say(device)

    async def until_said(self, count):
        """Wait until so many messages in all are acknowledged."""
        while len(self.said) < count:  # noqa: ASYNC110 - a count, not an event, is due
            await asyncio.sleep(0.001)

    async def all_read(self, devices, since=0):
        """Until each device has decrypted all that was said, but for the first messages of the room.

        Each shall have every message once, in the order of the room, and the room shall have no others.
        """
        history = await self._history()
        assert sorted(history) == sorted(self.said), "what is in the room is what was acknowledged, each once"
        wanted = [[event_id, self.said[event_id]] for event_id in history][since:]
        give_up = time.monotonic() + AGREE_S
        for device in devices:
            while (found := await self._read(device, since)) != wanted:
                lost = [one for one in wanted if one not in found]
                assert time.monotonic() < give_up, (
                    f"{device.name} has {len(found)} of {len(wanted)}, {lost[:5]}"
                )
                await asyncio.sleep(0.05)

    async def heard(self, event_id, devices):
        """Until each of the devices has decrypted a message."""
        give_up = time.monotonic() + AGREE_S
        for device in devices:
            while [event_id, self.said[event_id]] not in await self._read(device, 0):
                assert time.monotonic() < give_up, f"{device.name} cannot read {self.said[event_id]}"
                await asyncio.sleep(0.02)

    async def _read(self, device, since):
        events = await device.do("read", room_id=self.room_id)
        known = dict(list(self.said.items())[:since])
        return [[event_id, body] for event_id, body, _ in events if event_id not in known]

    async def sessions(self, device):
        """The session of each message, by event ID."""
        events = await device.do("read", room_id=self.room_id)
        return {event_id: session for event_id, _, session in events}

    async def event(self, event_id):
        """An event as the server has it."""
        return await self._rest.get(f"/v3/rooms/{quote(self.room_id)}/event/{quote(event_id)}")

    async def _history(self):
        """The event ID of every encrypted event of the room, from its beginning."""
        found, start = [], ""
        while True:
            page = await self._rest.get(f"/v3/rooms/{quote(self.room_id)}/messages?dir=f&limit=100{start}")
            found += [event["event_id"] for event in page["chunk"] if event["type"] == "m.room.encrypted"]
            if "end" not in page:
                return found
            start = f"&from={page['end']}"
