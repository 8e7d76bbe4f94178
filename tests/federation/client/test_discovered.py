import asyncio
import itertools

import pytest

from federation.client.discovered import Discovered
from federation.client.dns import Services
from federation.discovery import Service
from federation.places import Place
from federation.well_known import Page
from homeserver.core.errors import Unavailable

HOUR_MS = 3_600_000


class FakeClock:
    def __init__(self):
        self.milliseconds = 1_700_000_000_000

    def now_ms(self):
        return self.milliseconds

    def monotonic_ms(self):
        return self.milliseconds


class Chance:
    def token_bytes(self, length_bytes):
        return bytes(length_bytes)


class World:
    """Hosts with pages and names with records, that a test may change."""

    def __init__(self):
        self.delegations = {}
        self.records = {}
        self.asked = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def page(self, need):
        self.asked.append(need.host)
        await self.gate.wait()
        delegated = self.delegations.get(need.host)
        return None if delegated is None else Page(200, {}, b'{"m.server": "%b"}' % delegated.encode())

    async def services(self, name):
        self.asked.append(name)
        return self.records.get(name, Services((), HOUR_MS))


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def world():
    return World()


@pytest.fixture
async def discovered(world, clock):
    discovered = Discovered(pages=world, services=world, clock=clock, randomness=Chance())
    yield discovered
    await discovered.close()


async def test_what_is_found_is_known_for_a_while(discovered, world, clock):
    world.delegations["a.example"] = "b.example:443"
    place = Place("b.example:443", "b.example", (("b.example", 443),))

    assert await discovered.place_of("a.example") == place
    assert await discovered.place_of("a.example") == place
    assert world.asked == ["a.example"]
    # The place is put together anew, of what the host said for a day.
    clock.milliseconds += 2 * HOUR_MS
    assert await discovered.place_of("a.example") == place
    assert world.asked == ["a.example"]
    world.delegations["a.example"] = "c.example:443"
    clock.milliseconds += 23 * HOUR_MS
    assert (await discovered.place_of("a.example")).host_header == "c.example:443"


async def test_records_are_believed_as_long_as_they_say(discovered, world, clock):
    name = "_matrix-fed._tcp.a.example"
    world.records[name] = Services((Service(1, 1, "x.example", 1),), 120_000)
    await discovered.place_of("a.example")
    world.records[name] = Services((Service(1, 1, "y.example", 2),), 120_000)
    clock.milliseconds += 119_000
    assert (await discovered.place_of("a.example")).hosts == (("x.example", 1),)
    clock.milliseconds += 2_000
    assert (await discovered.place_of("a.example")).hosts == (("y.example", 2),)


async def test_those_who_look_for_the_same_server_look_once(discovered, world):
    world.gate.clear()
    tasks = [asyncio.create_task(discovered.place_of("a.example")) for _ in range(10)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    world.gate.set()
    places = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(places[0], asyncio.CancelledError)
    assert [place.host_header for place in places[1:]] == ["a.example"] * 9
    assert world.asked.count("a.example") == 1


async def test_a_silent_host_is_asked_less_and_less_often(discovered, world, clock):
    for _ in range(4 * 60):
        await discovered.place_of("a.example")
        discovered.forget("a.example")
        clock.milliseconds += 60_000
    times = world.asked.count("a.example")

    # Four hours: after half a minute or more, then twice that, at last every half an hour or more.
    assert 6 <= times <= 20


async def test_a_host_that_falls_silent_is_believed_for_two_days(discovered, world, clock):
    world.delegations["a.example"] = "b.example:443"
    await discovered.place_of("a.example")
    del world.delegations["a.example"]
    clock.milliseconds += 47 * HOUR_MS
    assert (await discovered.place_of("a.example")).host_header == "b.example:443"
    clock.milliseconds += 2 * HOUR_MS
    assert (await discovered.place_of("a.example")).host_header == "a.example"
    # As soon as it speaks again it is heard.
    world.delegations["a.example"] = "b.example:443"
    clock.milliseconds += 2 * HOUR_MS
    assert (await discovered.place_of("a.example")).host_header == "b.example:443"


@pytest.mark.parametrize("name", ["a.example:0", "a.example:99999"])
async def test_a_port_that_is_none_is_no_server(discovered, name):
    with pytest.raises(Unavailable):
        await discovered.place_of(name)


async def test_a_server_that_says_it_is_not_there_is_unavailable(discovered, world):
    world.records["_matrix-fed._tcp.a.example"] = Services((Service(0, 0, "", 0),), HOUR_MS)
    with pytest.raises(Unavailable):
        await discovered.place_of("a.example")


async def test_not_all_the_world_is_remembered(discovered, monkeypatch):
    monkeypatch.setattr("federation.client.discovered.PLACES_MAX", 10)
    for number in itertools.islice(itertools.count(), 30):
        await discovered.place_of(f"{number}.example")

    assert len(discovered._places) == len(discovered._delegations) == 10
    assert discovered._looking == {}
