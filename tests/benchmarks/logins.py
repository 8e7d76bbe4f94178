"""What logins cost others, who wait in /sync meanwhile: `python -m tests.benchmarks.logins`.

On a server without a socket and a PostgreSQL of its own, with passwords hashed at the cost of a real server.
Fails if the 99th percentile of wake-ups while 50 logins run is over its goal. On a machine that others use it
is high without any login, which the first line tells.
"""

import asyncio
import time
from dataclasses import replace
from urllib.parse import quote

import uvloop

from homeserver.config.model import PasswordsSection
from tests.benchmarks import ground
from tests.benchmarks.ground import say
from tests.doubles.rooms import PASSWORD, V3, RoomsServer

LOGINS = 50
READERS = 5
QUIET_MESSAGES = 200
GOAL_MS = 50.0
"""Far below what people notice; on the loop one hash takes 30 ms, and 50 more than a second."""


class Readers:
    """Users who wait in /sync, and when each message reached them."""

    def __init__(self, users):
        self.users = users
        self.delays_ms = []
        self._sent = 0

    async def begin(self, room_id):
        for user in self.users:
            await user.act(room_id, "join")
        return [(await user.get("/sync?timeout=0"))["next_batch"] for user in self.users]

    async def deliver(self, sender, room_id, tokens):
        """Send one message to all who wait; returns the tokens that they go on from."""
        self._sent += 1
        waits = [
            asyncio.create_task(self._wait(user, token, f"message {self._sent}"))
            for user, token in zip(self.users, tokens, strict=True)
        ]
        await asyncio.sleep(0)
        sent = time.perf_counter()
        await sender.send(room_id, f"message {self._sent}")
        answers = await asyncio.gather(*waits)
        self.delays_ms += [(woken - sent) * 1e3 for woken, _ in answers]
        return [token for _, token in answers]

    async def _wait(self, user, token, text):
        while True:
            answer = await user.get(f"/sync?timeout=30000&since={quote(token)}")
            woken, token = time.perf_counter(), answer["next_batch"]
            rooms = answer.get("rooms", {}).get("join", {}).values()
            events = [event for room in rooms for event in room["timeline"]["events"]]
            # Other news wakes too, such as who is online.
            if any(event["content"].get("body") == text for event in events):
                return woken, token


async def log_in(server):
    body = {
        "type": "m.login.password", "password": PASSWORD,
        "identifier": {"type": "m.id.user", "user": "sender"},
    }  # fmt: skip
    status, _ = await server.call("POST", f"{V3}/login", body)
    assert status == 200


def percentile(delays_ms, share):
    return sorted(delays_ms)[min(len(delays_ms) - 1, int(len(delays_ms) * share))]


def tell(what, delays_ms):
    figures = " | ".join(f"{percentile(delays_ms, share):.1f}" for share in (0.5, 0.99, 1.0))
    say(f"| {what} | {len(delays_ms)} | {figures} |")


async def measure(server):
    """Print delays without and with logins; returns the 99th percentile of those with, in milliseconds."""
    sender = await server.user("sender")
    readers = Readers([await server.user(f"reader{number}") for number in range(READERS)])
    room_id = await sender.create(preset="public_chat")
    tokens = await readers.begin(room_id)
    for _ in range(QUIET_MESSAGES):
        tokens = await readers.deliver(sender, room_id, tokens)
    say("| wake-ups | number | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|")
    tell("nobody logs in", readers.delays_ms)
    readers.delays_ms.clear()
    began = time.perf_counter()
    logins = [asyncio.create_task(log_in(server)) for _ in range(LOGINS)]
    while not all(login.done() for login in logins):
        tokens = await readers.deliver(sender, room_id, tokens)
    took_s = time.perf_counter() - began
    await asyncio.gather(*logins)
    tell(f"{LOGINS} logins run", readers.delays_ms)
    say(f"The logins took {took_s:.2f} s, all of them.")
    return percentile(readers.delays_ms, 0.99)


async def main():
    async with ground.ground("logins") as place:
        server = RoomsServer(place.database, place.directory)
        server.configuration = replace(server.configuration, passwords=PasswordsSection())
        await server.start()
        p99_ms = await measure(server)
        await server.close()
    ground.end([f"{p99_ms:.1f} of {GOAL_MS:g} ms"] if p99_ms > GOAL_MS else [])


if __name__ == "__main__":
    uvloop.run(main())
