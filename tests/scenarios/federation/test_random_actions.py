"""Six people of two servers do what comes to their minds, several at once: in the end both servers agree."""

import asyncio
import os
import random

import pytest

from clients.load.api import ApiError
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.pairs import CHOSEN, PAIRS
from tests.scenarios.federation.people import same_state

pytestmark = [pytest.mark.scenario, pytest.mark.interop, pytest.mark.timeout(600)]

_ACTIONS = int(os.environ.get("FEDERATION_ACTIONS", "400"))
_SEEDS = [int(seed) for seed in os.environ.get("FEDERATION_SEEDS", "1").split(",")]
_AT_ONCE = 3
_VERSIONS = ("6", "9", "11", "12")
_WEIGHTS = {
    "say": 40, "join": 12, "leave": 6, "invite": 8, "kick": 4, "ban": 3, "unban": 4, "redact": 5, "rename": 5,
    "topic": 8, "power": 4, "rules": 2,
}  # fmt: skip


@pytest.fixture(scope="module", params=CHOSEN)
def servers(request):
    with running(*PAIRS[request.param]) as both:
        yield both


class World:
    """The people, their rooms, and what they do."""

    def __init__(self, people, seed):
        self._people = people
        self._random = random.Random(seed)
        self._events = {}
        self.rooms = []
        self.done = {}

    async def begin(self):
        """Each room has somebody of each server who stays, and may do everything."""
        founder, partner = self._people[0], self._people[1]
        for version in _VERSIONS:
            room_id = await founder.make_room(preset="public_chat", room_version=version)
            await partner.join_by(room_id, founder.server.name)
            await founder.sees_member(room_id, partner.user_id, "join")
            users = {partner.user_id: 100}
            if version != "12":  # whose makers have all power, and are not named
                users[founder.user_id] = 100
            await founder.set_state(room_id, "m.room.power_levels", {
                "users": users, "events": {"m.room.topic": 0},
                "invite": 0, "kick": 50, "ban": 50, "redact": 50,
            })  # fmt: skip
            self._events[room_id] = []
            self.rooms.append(room_id)
        await asyncio.gather(*(same_state(room_id, founder, partner) for room_id in self.rooms))

    async def act(self, number):
        """Somebody does something; the rooms may forbid it."""
        choose = self._random
        verb = choose.choices(list(_WEIGHTS), weights=_WEIGHTS.values())[0]
        person, room_id = choose.choice(self._people), choose.choice(self.rooms)
        other = choose.choice(self._people[2:])  # the first two stay
        act = getattr(self, f"_{verb}")
        try:
            await act(person, room_id, other, number)
        except ApiError as error:
            if error.status not in {400, 403, 404, 503}:  # 503: it was overtaken by something else
                raise
        else:
            self.done[verb] = self.done.get(verb, 0) + 1

    async def _say(self, person, room_id, _, number):
        event_id = await person.say(room_id, f"words {number}")
        self._events[room_id].append(event_id)

    async def _join(self, person, room_id, *_):
        await person.join_by(room_id, *{one.server.name for one in self._people})

    async def _leave(self, person, room_id, *_):
        if person not in self._people[:2]:
            await person.act(room_id, "leave")

    async def _invite(self, person, room_id, other, _):
        await person.act(room_id, "invite", other.user_id)

    async def _kick(self, _, room_id, other, number):
        await self._people[number % 2].act(room_id, "kick", other.user_id)

    async def _ban(self, _, room_id, other, number):
        await self._people[number % 2].act(room_id, "ban", other.user_id)

    async def _unban(self, _, room_id, other, number):
        await self._people[number % 2].act(room_id, "unban", other.user_id)

    async def _redact(self, _, room_id, __, number):
        if self._events[room_id]:
            event_id = self._random.choice(self._events[room_id])
            redactor = self._people[number % 2]
            await redactor.client("PUT", "rooms", room_id, "redact", event_id, f"r{number}", body={})

    async def _rename(self, person, _, __, number):
        body = {"displayname": f"{person.user_id[:6]} {number}"}
        await person.client("PUT", "profile", person.user_id, "displayname", body=body)

    async def _topic(self, person, room_id, _, number):
        await person.set_state(room_id, "m.room.topic", {"topic": f"topic {number}"})

    async def _power(self, _, room_id, other, number):
        actor = self._people[number % 2]
        levels = await actor.client("GET", "rooms", room_id, "state", "m.room.power_levels")
        levels["users"] = {**levels["users"], other.user_id: self._random.choice((0, 25, 50))}
        await actor.set_state(room_id, "m.room.power_levels", levels)

    async def _rules(self, _, room_id, __, number):
        rule = self._random.choice(("public", "public", "invite"))
        await self._people[number % 2].set_state(room_id, "m.room.join_rules", {"join_rule": rule})


async def said_by(senders, reader, room_id):
    """The messages of some users in the history.

    Those of users who stay are in every history. What others say while the other server throws them out
    may be in one only: there it came before, here it comes too late (soft failure). So may changes of state
    that meet.
    """
    user_ids = {one.user_id for one in senders}
    return {
        event["event_id"]
        for event in await reader.history(room_id, 5_000)
        if event["sender"] in user_ids and event["type"] == "m.room.message"
    }


@pytest.mark.parametrize("seed", _SEEDS)
async def test_both_servers_have_the_same_rooms_in_the_end(servers, come, seed):
    names = ("founder", "partner", "carol", "dave", "erin", "frank")
    people = [await come(servers[place % 2], name) for place, name in enumerate(names)]
    world = World(people, seed)
    await world.begin()
    for start in range(0, _ACTIONS, _AT_ONCE):
        await asyncio.gather(*(world.act(number) for number in range(start, min(start + _AT_ONCE, _ACTIONS))))
    founder, partner = people[:2]
    for place, room_id in enumerate(world.rooms):
        for number, (speaker, hearer) in enumerate(((founder, partner), (partner, founder)) * 2):
            await speaker.say(room_id, f"last words {number}")
            await hearer.sees(room_id, f"last words {number}", 60)
        state = await same_state(room_id, founder, partner, patience_s=30)
        both = [await said_by((founder, partner), one, room_id) for one in (founder, partner)]
        assert both[0] == both[1], f"room version {_VERSIONS[place]}"
        assert ("m.room.create", "") in state

    assert set(world.done) == set(_WEIGHTS), world.done
