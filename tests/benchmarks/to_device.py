"""What messages to devices and backups of keys cost: `python -m tests.benchmarks.to_device`.

Run by `make bench-devices`, on a server without a socket and a PostgreSQL of its own; CPU is that of both
together. Fails if something is over its goal.
"""

import asyncio
import gc
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import uvloop

from tests.benchmarks import ground
from tests.benchmarks.ground import say
from tests.doubles.rooms import PASSWORD, V3, RoomsServer, User

USERS = 10
DEVICES_EACH = 10
SENDINGS = 300
AT_ONCE = 8
GOAL_MS = 3.0
SYNCS = 2_000
KEYS = 10_000
KEYS_AT_ONCE = 1_000
KEYS_GOAL_MS = 1_000.0
STEP_GOAL_MS = 100.0
CIPHERTEXT = "x" * 700
"""About as long as a room key, encrypted for a device."""
_TICK_S = 0.001


@dataclass
class Cost:
    """What one operation took, on average; and for how long the loop did nothing else, at most."""

    cpu_ms: float
    postgres_ms: float
    step_ms: float

    @property
    def whole_ms(self):
        """Both."""
        return self.cpu_ms + self.postgres_ms


class Bench:
    """A server, and who measures it."""

    def __init__(self, server, meter):
        self.server = server
        self._meter = meter
        self._missed = []
        say("| what | CPU ms | of it PostgreSQL | longest step ms | goal |\n|---|---|---|---|---|")

    async def ask(self, user, method, path, body=b""):
        """Ask as a user; returns the body."""
        return await ground.ask(self.server, user.token, method, V3 + path, body)

    async def cost(self, operations, count, *, steps=False):
        """Measure a coroutine that does so many operations; the longest step too, which costs something."""
        gc.collect()
        before = self._meter.read().postgres_s, time.process_time()
        ticker = asyncio.create_task(longest_step()) if steps else None
        await asyncio.sleep(0)
        await operations
        cpu_s = time.process_time() - before[1]
        postgres_s = self._meter.read().postgres_s - before[0]
        steps_s = 0.0
        if ticker is not None:
            ticker.cancel()
            steps_s = await ticker
        return Cost(cpu_s * 1e3 / count, postgres_s * 1e3 / count, steps_s * 1e3)

    def add(self, what, cost, goal_ms=None, step_goal_ms=None):
        """Print a line."""
        if goal_ms is not None and cost.whole_ms > goal_ms:
            self._missed.append(what)
        if step_goal_ms is not None and cost.step_ms > step_goal_ms:
            self._missed.append(f"{what}, longest step")
        goal = "" if goal_ms is None else f"≤ {goal_ms:g}"
        step = f"{cost.step_ms:.3g}" if cost.step_ms else ""
        say(f"| {what} | {cost.whole_ms:.3g} | {cost.postgres_ms:.3g} | {step} | {goal} |")

    def close(self):
        """Fail if a goal was missed."""
        ground.end(self._missed)


async def longest_step():
    """Tick until cancelled; returns the longest time between two ticks, in seconds."""
    longest, last = 0.0, time.monotonic()
    try:
        while True:
            await asyncio.sleep(_TICK_S)
            now = time.monotonic()
            longest, last = max(longest, now - last), now
    except asyncio.CancelledError:
        return longest - _TICK_S


@asynccontextmanager
async def bench():
    """A server with a PostgreSQL of its own, for the duration of a block."""
    async with ground.ground("to-device") as place:
        server = await RoomsServer(place.database, place.directory).start()
        gc.freeze()  # as a server does at its start
        yield Bench(server, place.meter)
        await server.close()


async def devices_of(server):
    """Make the users and log them in on their devices."""
    found = []
    for number in range(USERS):
        user = await server.user(f"user{number}")
        found.append(user)
        for _ in range(DEVICES_EACH - 1):
            identifier = {"type": "m.id.user", "user": user.user_id}
            body = {"type": "m.login.password", "identifier": identifier, "password": PASSWORD}
            _, answer = await server.call("POST", f"{V3}/login", body)
            found.append(User(server, answer))
            found[-1].device_id = answer["device_id"]
        _, answer = await server.call("GET", f"{V3}/account/whoami", token=user.token)
        user.device_id = answer["device_id"]
    return found


async def measure_sending(one, sender, devices):
    """A message to every device, each its own as olm wants it; and how many come through."""
    messages = {}
    for device in devices:
        content = {"algorithm": "m.olm.v1", "ciphertext": CIPHERTEXT, "to": device.device_id}
        messages.setdefault(device.user_id, {})[device.device_id] = content
    body = orjson.dumps({"messages": messages})

    async def send_some(first, step):
        for number in range(first, SENDINGS, step):
            await one.ask(sender, "PUT", f"/sendToDevice/m.room.encrypted/{step}-{number}", body)

    cost = await one.cost(send_some(0, 1), SENDINGS)
    one.add(f"a message to {len(devices)} devices, one after the other", cost, GOAL_MS)
    some = [send_some(number, AT_ONCE) for number in range(AT_ONCE)]
    cost = await one.cost(asyncio.gather(*some), SENDINGS)
    one.add(f"a message to {len(devices)} devices, {AT_ONCE} at once", cost, GOAL_MS)


async def measure_fetching(one, device):
    """All that waits, a hundred at a time; and then nothing, many times."""
    place = {"since": None}

    async def sync_until_empty():
        found = 0
        while True:
            query = "" if place["since"] is None else f"?since={place['since']}"
            answer = orjson.loads(await one.ask(device, "GET", f"/sync{query}"))
            place["since"] = answer["next_batch"]
            if "to_device" not in answer:
                assert found == 2 * SENDINGS, found
                return
            found += len(answer["to_device"]["events"])

    async def sync_idly():
        for _ in range(SYNCS):
            await one.ask(device, "GET", f"/sync?since={place['since']}")

    one.add("a message fetched with 99 others", await one.cost(sync_until_empty(), 2 * SENDINGS))
    one.add("a sync with nothing waiting", await one.cost(sync_idly(), SYNCS))


async def measure_backup(one, user):
    """Many keys in requests as large as the server takes them, again, and read."""
    auth_data = {"algorithm": "m.megolm_backup.v1.curve25519-aes-sha2", "auth_data": {}}
    await one.ask(user, "POST", "/room_keys/version", orjson.dumps(auth_data))
    key = {
        "first_message_index": 0, "forwarded_count": 0, "is_verified": True,
        "session_data": {"ciphertext": CIPHERTEXT, "ephemeral": "e" * 43, "mac": "m" * 11},
    }  # fmt: skip
    rooms = {
        f"!room{room}:localhost": {"sessions": {f"{number:043}": key for number in range(KEYS_AT_ONCE)}}
        for room in range(KEYS // KEYS_AT_ONCE)
    }
    bodies = [orjson.dumps({"rooms": {room_id: keys}}) for room_id, keys in rooms.items()]
    path = "/room_keys/keys?version=1"

    async def put():
        for body in bodies:
            await one.ask(user, "PUT", path, body)

    size = f"{len(bodies[0]) / 1e6:.2f} MB each"
    for what in ("new keys", "keys that it has"):
        cost = await one.cost(put(), 1, steps=True)
        one.add(f"backup of {KEYS:,} {what}, {len(bodies)} of {size}", cost, KEYS_GOAL_MS, STEP_GOAL_MS)
    cost = await one.cost(one.ask(user, "GET", path), 1, steps=True)
    one.add(f"reading of {KEYS:,} keys", cost, KEYS_GOAL_MS)


async def main():
    async with bench() as one:
        devices = await devices_of(one.server)
        sender = await one.server.user("sender")
        await measure_sending(one, sender, devices)
        await measure_fetching(one, devices[0])
        await measure_backup(one, sender)
        one.close()


if __name__ == "__main__":
    uvloop.run(main())
