"""One of two servers dies while the other goes on: afterwards both have the same, and all of it."""

import asyncio

import aiohttp
import pytest

from clients.load.api import ApiError
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.pairs import CHOSEN, PAIRS, meet
from tests.scenarios.federation.people import same_state

pytestmark = [pytest.mark.scenario, pytest.mark.interop, pytest.mark.timeout(180)]


@pytest.fixture(scope="module", params=CHOSEN)
def servers(request):
    with running(*PAIRS[request.param]) as both:
        yield both


def texts(events):
    """What was said, from the oldest to the newest."""
    return [event["content"]["body"] for event in reversed(events) if event["type"] == "m.room.message"]


async def complete(room_id, person, expected):
    """Until a person finds all that was said in the history."""
    for _ in range(300):
        found = texts(await person.history(room_id, 2000))
        if set(found) >= set(expected):
            break
        await asyncio.sleep(0.2)
    assert sorted(found) == sorted(expected)
    return found


@pytest.mark.parametrize("victim", [0, 1])
async def test_what_was_said_while_one_server_was_dead_is_there_when_it_is_back(servers, come, victim):
    people = await come(servers[0], "alice"), await come(servers[1], "bob")
    room_id = await meet(*people)
    dead, alive = people[victim], people[1 - victim]
    await dead.say(room_id, "before")
    await alive.sees(room_id, "before")
    servers[victim].kill()
    said = [f"alone {number}" for number in range(60)]
    for body in said:
        await alive.say(room_id, body)
    await asyncio.to_thread(servers[victim].start)
    await alive.say(room_id, "after")
    await dead.sees(room_id, "after")

    await complete(room_id, dead, ["before", *said, "after"])
    await dead.say(room_id, "and on")
    await alive.sees(room_id, "and on")
    await same_state(room_id, *people)


async def test_what_a_server_had_acknowledged_when_it_died_reaches_the_other(servers, come):
    alice, bob = await come(servers[0], "alice"), await come(servers[1], "bob")
    room_id = await meet(alice, bob)
    acknowledged = []

    async def talk():
        number = 0
        while True:
            await alice.send(room_id, f"t{number}", f"kept {number}")
            acknowledged.append(f"kept {number}")
            number += 1

    talking = asyncio.create_task(talk())
    while len(acknowledged) < 100 and not talking.done():  # noqa: ASYNC110 - a count, not an event, is due
        await asyncio.sleep(0.001)
    servers[0].kill()
    with pytest.raises((aiohttp.ClientError, ApiError)):
        await talking
    await asyncio.to_thread(servers[0].start)
    await bob.sees(room_id, acknowledged[-1])

    found = texts(await bob.history(room_id))
    assert [body for body in found if body in acknowledged] == acknowledged
