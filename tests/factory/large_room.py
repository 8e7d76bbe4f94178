"""A room of many members, fast and true: every row is made by what makes it in the server.

The events are composed, authorised and signed one after the other, each by the server of its sender, and
become rows by `add_step`; only that many of them share one write, which nobody waits for, is different.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.rooms.actor import RoomActor
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import Composer, add_step, intern
from homeserver.rooms.new_room import RoomWishes, first_drafts
from storage.interning import Interning
from storage.journal import Journal
from storage.tables.rooms import ROOM_INSERT, Rooms, add_room_tip
from storage.write import Write
from storage.writers import Writers
from tests.factory.room_timeline import signing_key_of

__all__ = ["OURS", "LargeRoom", "Story", "build_large_room", "story_of"]

OURS = "localhost"
CREATOR = f"@creator:{OURS}"
MEMBER = "m.room.member"
EVENTS_PER_WRITE = 250
WRITES_WAITING_MAX = 8
_DAY_MS = 86_400_000


@dataclass(frozen=True)
class Story:
    """What happens in the room, apart from its creation.

    Attributes:
        members: who is in it at the end, the creator not counted.
        messages: how many are said.
        profile_changes: how many members change their names, some more than once.
        leaves: how many others came and went.
        servers: of other people; a quarter of all are ours.
        days: over which all this takes place, up to now.
        seed: of all chance.
    """

    members: int
    messages: int = 0
    profile_changes: int = 0
    leaves: int = 0
    servers: int = 50
    days: int = 60
    seed: int = 1


@dataclass(frozen=True)
class LargeRoom:
    """What was built.

    Attributes:
        room_id: its ID.
        room_nid: its number.
        members: user IDs of those who are in it, the creator first.
        left: of those who are not any more.
        states: for every state event, by its position: type and state key.
        groups: the group before each event, by its position.
        last_group: the current state.
    """

    room_id: str
    room_nid: int
    members: list
    left: list
    states: dict
    groups: dict
    last_group: int


class _Moments:
    """A clock for the past: every look is a little later, at random, so that positions are as in life."""

    def __init__(self, now_ms, days, looks, chance):
        self._chance = chance
        self._mean_ms = days * _DAY_MS / (looks + 1)
        self.ms = now_ms - (days + 1) * _DAY_MS  # a day of leeway: chance may add up to more

    def now_ms(self):
        return int(self.ms)

    def monotonic_ms(self):
        return int(self.ms)

    def pass_by(self):
        self.ms += min(1 + self._chance.expovariate(1 / self._mean_ms), 20 * self._mean_ms)


def user_ids(story: Story) -> list[str]:
    """Everybody who ever comes, in the order in which they come."""
    chance = random.Random(story.seed)
    count = story.members + story.leaves
    servers = [f"server{number}.example.org" for number in range(story.servers)]
    names = [
        f"@user{number}:{OURS if chance.random() < 0.25 or not servers else chance.choice(servers)}"
        for number in range(count)
    ]
    chance.shuffle(names)
    return names


def story_of(story: Story) -> Iterator[Draft]:
    """What happens, in order; who has come may speak, change name, or go."""
    chance = random.Random(story.seed + 1)
    coming = user_ids(story)
    kinds = (
        ["join"] * len(coming) + ["say"] * story.messages + ["rename"] * story.profile_changes
        + ["leave"] * story.leaves
    )  # fmt: skip
    chance.shuffle(kinds)
    kinds.sort(key=lambda kind: kind == "leave" and chance.random() < 0.5)  # half of those go at the end
    here: list[str] = []
    postponed = 0
    for kind in kinds:
        if kind == "join":
            user_id = coming.pop()
            here.append(user_id)
            yield _member(user_id, "join", _name(user_id, 0))
        elif kind == "leave":
            if not here:
                postponed += 1
                continue
            place = chance.randrange(len(here))
            here[place], here[-1] = here[-1], here[place]
            yield Draft(MEMBER, here[-1], {"membership": "leave"}, here.pop())
        elif kind == "rename":
            user_id = chance.choice(here) if here else CREATOR
            yield _member(user_id, "join", _name(user_id, chance.randrange(1_000)))
        else:
            user_id = chance.choice(here) if here else CREATOR
            yield Draft("m.room.message", user_id, {"msgtype": "m.text", "body": _text(chance)})
    for _ in range(postponed):
        user_id = here.pop()
        yield Draft(MEMBER, user_id, {"membership": "leave"}, user_id)


def _member(user_id: str, membership: str, name: str) -> Draft:
    avatar = f"mxc://{user_id.partition(':')[2]}/{user_id[1:13]}abcdefghijkl"
    content = {"membership": membership, "displayname": name, "avatar_url": avatar}
    return Draft(MEMBER, user_id, content, user_id)


def _name(user_id: str, number: int) -> str:
    return f"{user_id[1:].partition(':')[0].title()} of House {number}"


def _text(chance: random.Random) -> str:
    return " ".join([f"{chance.getrandbits(20):x}" for _ in range(chance.randrange(1, 30))])


async def build_large_room(database, story: Story, clock, *, version: str = "12") -> LargeRoom:
    """Build the room through a journal of its own, which is closed again; the server may start after that."""
    chance = random.Random(story.seed + 2)
    events = story.members + story.messages + story.profile_changes + 2 * story.leaves + 20
    moments = _Moments(clock.now_ms(), story.days, events, chance)
    lease = await Writers(database, clock).acquire(takes_over=True)
    journal = Journal(database, lease, moments, lambda changes: None, lambda observation: None)
    try:
        return await _Building(database, story, moments, journal, version).build()
    finally:
        await journal.close()


class _Building:
    def __init__(self, database, story, moments, journal, version):
        self.database = database
        self.story = story
        self.moments = moments
        self.journal = journal
        self.rules = ROOM_VERSIONS[version]
        self.interning = Interning(database, entries_max=2 * (story.members + story.leaves) + 1_000)
        self.composers = {}
        self.states = {}
        self.groups = {}
        self.waiting = []

    async def build(self) -> LargeRoom:
        room_nid = await Rooms(self.database).new_room_nid()
        room_id = "" if self.rules.room_id_is_create_event_id else f"!large:{OURS}"
        room = RoomActor(room_id, room_nid, self.rules)
        # Half of them are known from other rooms, so the order of their numbers is not that of their joining.
        known = sorted(user_ids(self.story))[::2]
        await self.interning.nids("user", known)
        await self.interning.nids("state_key", known)
        wishes = RoomWishes(preset="public_chat", name="Everybody", topic="All of us")
        drafts = first_drafts(wishes, self.rules, CREATOR, None, {CREATOR: {"displayname": "Creator"}})
        await self._add(room, drafts, is_new=True)
        drafts = []
        for draft in story_of(self.story):
            drafts.append(draft)
            if len(drafts) == EVENTS_PER_WRITE:
                await self._add(room, drafts)
                drafts = []
        if drafts:
            await self._add(room, drafts)
        for committed in self.waiting:
            await committed
        named = dict.fromkeys([key for event_type, key in self.states.values() if event_type == MEMBER])
        members = {user_id: room.membership(user_id) for user_id in named}
        return LargeRoom(
            room.room_id, room_nid,
            [user_id for user_id, membership in members.items() if membership == "join"],
            [user_id for user_id, membership in members.items() if membership != "join"],
            self.states, self.groups, room.chain.group,
        )  # fmt: skip

    async def _add(self, room, drafts, *, is_new=False):
        numbers = await intern(self.interning, drafts)
        write = Write()
        for draft, numbered in zip(drafts, numbers, strict=True):
            self.moments.pass_by()
            composed = self._composer_of(draft.sender).compose(room, draft)
            position = self.journal.next_position()
            self.groups[position] = room.chain.group
            if draft.state_key is not None:
                self.states[position] = (draft.type, draft.state_key)
            _, step = add_step(write, room, composed, numbered, position, server_name=OURS)
            room.advance(step)
        if is_new:
            creator_nid, now_ms = numbers[0].sender_nid, self.moments.now_ms()
            is_public = True
            write.add(
                ROOM_INSERT, room.room_nid, room.room_id, self.rules.version, creator_nid, now_ms, is_public
            )
        add_room_tip(
            write, room.room_nid, extremities=[one.event.event_id for one in room.extremities],
            depth=room.depth, last_position=room.last_position, state_group=room.chain.group,
        )  # fmt: skip
        self.waiting.append(self.journal.append(write))
        if len(self.waiting) > WRITES_WAITING_MAX:
            await self.waiting.pop(0)

    def _composer_of(self, user_id):
        server_name = user_id.partition(":")[2]
        if server_name not in self.composers:
            self.composers[server_name] = Composer(
                server_name=server_name, signing_key=signing_key_of(server_name), clock=self.moments
            )
        return self.composers[server_name]
