"""Servers that share rooms without a wire: each is the room engine on a database of its own."""

import asyncio
import contextlib

from homeserver.app.build_receiving import RemotePorts, build_receiving
from homeserver.core.auth.selection import auth_types_for
from homeserver.core.errors import Forbidden, Unavailable
from homeserver.core.event.builder import build_event
from homeserver.core.identifiers import server_name_of
from homeserver.core.pdu_verdicts import Accepted
from homeserver.core.redaction import redact
from homeserver.core.signing import event_id_of, verify_json
from homeserver.rooms.commands import Draft
from homeserver.rooms.compose import Composer
from homeserver.rooms.create_room import RoomCreation
from homeserver.rooms.loading import RoomLoading
from homeserver.rooms.new_room import RoomWishes
from homeserver.rooms.registry import RoomRegistry
from homeserver.rooms.sent_before import SentBefore
from homeserver.rooms.state_at import StateAt
from storage.interning import Interning
from storage.journal import Journal
from storage.tables.events import EventFlags, Events
from storage.tables.graph import Graph
from storage.tables.memberships import Memberships
from storage.tables.rooms import Rooms
from storage.tables.state import State
from storage.tables.state_groups import StateGroups
from storage.tables.transactions import Transactions
from storage.writers import Writers
from tests.factory.room_timeline import signing_key_of

EVENTS_ANSWERED_MAX = 50


class HandClock:
    """Shows what it is set to, and a millisecond more at each look."""

    def __init__(self, now_ms=1_760_000_000_000):
        self.ms = now_ms

    def now_ms(self):
        self.ms += 1
        return self.ms

    def monotonic_ms(self):
        return self.ms


class Network:
    """Who can reach whom.

    Attributes:
        servers: by name; those that are up.
        keys: signing keys that are not those of the factory, by server name.
        cut: pairs of names, in both orders, that cannot reach each other.
    """

    def __init__(self):
        self.servers = {}
        self.keys = {}
        self.cut = set()

    def reach(self, origin, name):
        server = self.servers.get(name)
        if server is None or (origin, name) in self.cut:
            raise Unavailable(f"{name} does not answer.")
        return server


class AnyPolicy:
    """No room has a policy server."""

    async def allows(self, event):
        return True


class KnownKeys:
    """Verifies signatures by the keys of the servers of tests."""

    def __init__(self, network):
        self._network = network

    async def missing_on(self, pdu, rules, signers):
        keys = {name: self._network.keys.get(name) or signing_key_of(name) for name in signers}
        redacted = redact(pdu, rules)
        return {
            name
            for name, key in keys.items()
            if not verify_json(redacted, name, key.key_id, key.public_key)
        }

    async def missing_on_each(self, several, rules):
        return [await self.missing_on(pdu, rules, signers) for pdu, signers in several]


class RemoteRooms:
    """Asks the other servers of a network."""

    def __init__(self, network, origin):
        self._network = network
        self._origin = origin

    async def missing_events(self, server, room_id, *, earliest, latest, limit):
        return await self._network.reach(self._origin, server).events_before(room_id, earliest, latest, limit)

    async def event(self, server, event_id):
        stored = await self._network.reach(self._origin, server).events.by_id(event_id)
        if stored is None:
            raise Unavailable("It has no such event.")
        return stored.event.pdu

    async def event_auth(self, server, room_id, event_id):
        return await self._network.reach(self._origin, server).auth_chain([event_id])

    async def state_ids(self, server, room_id, event_id):
        other = self._network.reach(self._origin, server)
        state = await other.state_before(event_id)
        chain = await other.auth_chain([event.event_id for event in state])
        return [event.event_id for event in state], [event_id_of(pdu, state[0].rules) for pdu in chain]


class RoomsOfServer:
    """One server's rooms. What its users send is left in `sent` for whoever carries it to the others."""

    def __init__(self, name, database, network, clock=None):
        self.name = name
        self.database = database
        self.network = network
        self.clock = HandClock() if clock is None else clock
        self.observations = []
        self.published = []
        self.journal = None

    async def start(self):
        lease = await Writers(self.database, self.clock).acquire(takes_over=True)
        self.journal = Journal(
            self.database, lease, self.clock, self.published.extend, self.observations.append, 0
        )
        interning = Interning(self.database)
        self.events, groups = Events(self.database), StateGroups(self.database)
        self.state = State(self.database, self.events)
        self.graph = Graph(self.database)
        self.memberships = Memberships(self.database)
        self.registry = RoomRegistry(
            composer=Composer(server_name=self.name, signing_key=signing_key_of(self.name), clock=self.clock),
            journal=self.journal,
            interning=interning,
            loading=RoomLoading(
                rooms=Rooms(self.database), events=self.events, state=self.state, groups=groups
            ),
            sent_before=SentBefore(Transactions(self.database)),
        )
        self.state_at = StateAt(groups=groups, events=self.events, interning=interning)
        self._build_receiving()
        self.network.servers[self.name] = self
        return self

    def _build_receiving(self):
        ports = RemotePorts(RemoteRooms(self.network, self.name), KnownKeys(self.network), AnyPolicy())
        receiving = build_receiving(self.database, self.registry, self.state_at, ports)
        self.ingest, self.adoption = receiving.ingest, receiving.adoption

    async def stop(self):
        self.network.servers.pop(self.name, None)
        await self.journal.close()

    async def crash(self):
        """Go down without a word: what is not committed is lost."""
        self.network.servers.pop(self.name, None)
        with contextlib.suppress(Unavailable):
            await self.journal._tasks.close()
        if self.journal._lane is not None:
            await self.journal._lane.close()

    # What a client of this server does.

    async def create(self, creator, version="12", **wishes):
        """Make a room; returns its ID."""
        creation = RoomCreation(
            registry=self.registry, directory=_NoAliases(), invitees=None, remote_inviting=_NobodyElse(),
            profiles=_NoProfiles(), randomness=_Letters(), spam_limits=_NoLimits(),
            default_room_version=version,
        )  # fmt: skip
        requester = _Requester(creator)
        return await creation.create(requester, RoomWishes(room_version=version, **wishes))

    async def send(self, room_id, sender, event_type, content, state_key=None, *, redacts=None):
        """Send an event of one of our users; returns it. Whether it may redact is for the caller to know."""
        draft = Draft(event_type, sender, dict(content), state_key, redacts)
        stored = None if redacts is None else await self.events.by_id(redacts)
        target = None if stored is None or stored.is_redacted else stored.event
        event_id = await self.registry.send(room_id, draft, target=target)
        return (await self.events.by_id(event_id)).event

    async def say(self, room_id, sender, text="hello"):
        return await self.send(room_id, sender, "m.room.message", {"msgtype": "m.text", "body": text})

    # What other servers ask of this one.

    async def receive(self, origin, room_id, *events):
        """Take in events as PDUs; returns the outcome of each, in their order."""
        outcomes = await self.ingest.receive(origin, room_id, [dict(event.pdu) for event in events])
        return [outcomes[event.event_id] for event in events]

    async def accept(self, origin, room_id, *events):
        """Take in events that must be accepted."""
        outcomes = await self.receive(origin, room_id, *events)
        assert all(one is None or isinstance(one, Accepted) for one in outcomes), outcomes

    async def join(self, user_id, room_id, resident):
        """Let a user of ours come in by way of a server that is in the room; returns the member event."""
        entry = await resident.member_event(room_id, user_id, {"membership": "join"})
        (outcome,) = await resident.receive(self.name, room_id, entry)
        if not isinstance(outcome, Accepted):
            raise Forbidden(str(outcome))
        # Not what it was when the event was made: others may have sent meanwhile.
        before = await resident.state_before(entry.event_id)
        chain = await resident.auth_chain([*[one.event_id for one in before], entry.event_id])
        await self.adoption.adopt(entry.rules, entry, [dict(one.pdu) for one in before], chain)
        return entry

    async def member_event(self, room_id, user_id, content):
        """Make the event by which a user of another server would come in, signed by that server."""
        keys_room = await self.registry.actor(room_id)
        rules = keys_room.rules
        keys = auth_types_for(rules, "m.room.member", user_id, user_id, content)
        while True:
            room = await self.registry.actor(room_id, *keys)
            await self.registry.settled(room)
            if self.registry.is_in_use(room) and room.last_commit is None:
                break
            await asyncio.sleep(0)
        state = room.state.select(keys)
        server_name = server_name_of(user_id)
        return build_event(
            rules=rules, type="m.room.member", sender=user_id, content=content, state_key=user_id,
            room_id=room_id, prev_events=[one.event for one in room.extremities],
            auth_events=[state[key] for key in keys if key in state], depth=room.depth + 1,
            origin_server_ts=self.clock.now_ms(), server_name=server_name,
            signing_key=signing_key_of(server_name),
        )  # fmt: skip

    async def state_for(self, room_id):
        """The current state's events."""
        room = await self.registry.actor(room_id)
        await self.registry.settled(room)
        return [one.event for one in await self.state.current(room.room_nid)]

    async def state_before(self, event_id):
        """The events of the state before an event."""
        stored = await self.events.by_id(event_id)
        if stored is None or stored.state_group is None:
            raise Unavailable("It does not know the state there.")
        chain = await self.state_at.groups.chain(stored.room_nid, stored.state_group)
        found = await self.events.by_nids(stored.room_nid, chain.items().values())
        return [one.event for one in found.values()]

    async def auth_chain(self, event_ids):
        """The auth chain of events, as PDUs."""
        found, level = {}, list(event_ids)
        while level:
            stored = await self.events.by_ids(level)
            level = []
            for one in stored.values():
                for auth_id in one.event.auth_events:
                    if auth_id not in found:
                        found[auth_id] = None
                        level.append(auth_id)
            for event_id, one in (await self.events.by_ids(level)).items():
                found[event_id] = one.event.pdu
        # The create event of a room that is named after it is in no auth chain, but nothing goes without it.
        for event_id in event_ids:
            stored = await self.events.by_id(event_id)
            if stored is not None and stored.event.rules.room_id_is_create_event_id:
                create = await self.events.by_id("$" + stored.event.room_id[1:])
                found[create.event.event_id] = create.event.pdu
                break
        return [dict(pdu) for pdu in found.values() if pdu is not None]

    async def events_before(self, room_id, earliest, latest, limit):
        """What another server asks for as missing events."""
        found, level = [], list(latest)
        seen = {*earliest, *latest}
        while level and len(found) < min(limit, EVENTS_ANSWERED_MAX):
            stored = await self.events.by_ids(level)
            level = []
            for one in stored.values():
                for event_id in one.event.prev_events:
                    if event_id not in seen:
                        seen.add(event_id)
                        level.append(event_id)
            found += [
                one.event.pdu
                for one in (await self.events.by_ids(level)).values()
                if not one.flags & (EventFlags.REJECTED | EventFlags.OUTLIER)
            ]
        return [dict(pdu) for pdu in found[:limit]][::-1]

    # What a test looks at.

    async def extremities(self, room_id):
        room = await self.registry.actor(room_id)
        await self.registry.settled(room)
        return {one.event.event_id for one in room.extremities}

    async def current(self, room_id):
        """The current state: event IDs by type and state key."""
        return {(one.type, one.state_key): one.event_id for one in await self.state_for(room_id)}

    async def flags(self, event_id):
        stored = await self.events.by_id(event_id)
        return None if stored is None else stored.flags

    async def timeline(self, room_id):
        """What clients see, as event IDs, oldest first."""
        room = await self.registry.actor(room_id)
        await self.registry.settled(room)
        return [one.event.event_id for one in await self.events.page(room.room_nid, None, "f", 1_000)]


class RoomsOfWholeServer(RoomsOfServer):
    """The rooms of a `RoomsServer`, which has clients as well."""

    def __init__(self, server, network):
        super().__init__(server.configuration.server_name, server.database, network)
        self.server = server

    async def start(self):
        rooms = self.server.services.rooms
        self.journal, self.registry, self.state_at = rooms.registry.journal, rooms.registry, rooms.state_at
        self.events = Events(self.database)
        self.state, self.graph = State(self.database, self.events), Graph(self.database)
        self.memberships = Memberships(self.database)
        self._build_receiving()
        self.network.servers[self.name] = self
        self.network.keys[self.name] = self.registry.composer._signing_key
        return self


class _NobodyElse:
    def is_remote(self, user_id):
        return False


class _NoProfiles:
    async def profile_of(self, user_id):
        return {}


class _NoAliases:
    async def check_new_room(self, *_, **__):
        pass


class _NoLimits:
    def __getattr__(self, name):
        return lambda *_, **__: None


class _Letters:
    count = 0

    def letters(self, length, alphabet):
        type(self).count += 1
        return f"{type(self).count:0{length}}"


class _Requester:
    def __init__(self, user_id):
        self.user_id = user_id
        self.session_id = 0
        self.device_id = "DEVICE"
        self.is_admin = False
