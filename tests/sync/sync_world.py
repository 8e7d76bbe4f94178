"""A world of rooms in memory: commits events, publishes them, and answers the reads of sync."""

import orjson

from homeserver.cluster.bus import LocalBus
from homeserver.core.changes import (
    EventChange,
    ForgetChange,
    ThreadSubscriptionChange,
    ToDeviceChange,
)
from homeserver.core.event.pdu import Event
from homeserver.core.event.sticky import sticky_until_ms
from homeserver.core.positions import SnowflakeClock, SyncToken
from homeserver.core.requester import Requester
from homeserver.core.room_versions import rules_for
from homeserver.sync.follow import Sync
from homeserver.sync.notifier import Notifier
from homeserver.sync.ports import MembershipRow
from homeserver.sync.timeline_event import TimelineEvent
from tests.sync.account_data_world import WithAccountData
from tests.sync.device_world import WorldDevices

RULES = rules_for("11")
START_MS = 1_760_000_000_000


class FakeClock:
    """Time that moves when told to."""

    def __init__(self):
        self.ms = START_MS

    def now_ms(self):
        return self.ms

    def monotonic_ms(self):
        return self.ms


def requester(user_id, session_id=1):
    return Requester(user_id, "DEVICE", session_id)


class World(WithAccountData):
    """Rooms, their writer, the bus, and sync on top of them; also the double of `SyncReads`."""

    def __init__(self, writer_id=0):
        super().__init__()
        self.clock = FakeClock()
        self.bus = LocalBus()
        self.snowflakes = SnowflakeClock(writer_id)
        self.committed = {}  # room ID → [EventChange]
        self.forgotten = set()  # (room ID, user ID)
        self.threads = {}  # (user ID, room ID, root ID) → ThreadSubscriptionChange
        self.inboxes = {}  # (user ID, device ID) → {position: message}
        self.unpublished = []
        self.holds_back = False
        self.reads = 0
        self.devices = WorldDevices(self)
        self.source = self  # of the reads of sync
        self.notifier = None
        self.sync = None

    async def start(self):
        """Start sync, as at the start of a process."""
        if self.notifier is not None:
            self.notifier.stop()
        self.publish()
        await self.store()
        self.notifier = await Notifier.start(self.bus, self.source)
        self.sync = Sync(reads=self.source, notifier=self.notifier, clock=self.clock)

    async def start_without_publishing(self):
        """Start sync anew, as one that has not heard yet of what was committed last."""
        heard = self.notifier.heard
        self.notifier.stop()
        self.notifier = await Notifier.start(self.bus, self.source)
        self.notifier.heard = heard
        self.sync = Sync(reads=self.source, notifier=self.notifier, clock=self.clock)

    async def store(self):
        """Make what was committed readable: in memory it is at once."""

    # Writing.

    def send(
        self, room_id, sender, type_="m.room.message", state_key=None, redacts=None, *, sticky_ms=None,
        **content,
    ):  # fmt: skip
        """Commit an event and publish it (unless the world holds back)."""
        self.clock.ms += 1
        position = self.snowflakes.next(self.clock.ms)
        timeline = self.committed.setdefault(room_id, [])
        pdu = {
            "auth_events": [], "prev_events": [], "content": content, "depth": len(timeline) + 1,
            "origin_server_ts": self.clock.ms, "room_id": room_id, "sender": sender, "type": type_,
        }  # fmt: skip
        if state_key is not None:
            pdu["state_key"] = state_key
        if redacts is not None:
            pdu["content"]["redacts"] = redacts
        if sticky_ms is not None:
            pdu["msc4354_sticky"] = {"duration_ms": sticky_ms}
        event = Event.from_pdu(pdu, RULES)
        before = self._state_of(timeline).get((type_, state_key)) if state_key is not None else None
        change = EventChange(position, room_id, event)
        if before is not None:
            change.replaces = before.event.event_id
            if type_ == "m.room.member":
                change.previous_membership = before.event.content["membership"]
        if redacts is not None:
            for other in timeline:
                if other.event.event_id == redacts:
                    change.redacted = other.event.redacted_by(event)
                    index = timeline.index(other)
                    timeline[index] = EventChange(other.position, room_id, change.redacted, other.replaces)
        timeline.append(change)
        self.unpublished.append(change)
        if not self.holds_back:
            self.publish()
        return event.event_id

    def follow_thread(self, user_id, room_id, root_id, *, is_subscribed=True):
        """Commit a thread subscription, or its end, and publish it."""
        self.clock.ms += 1
        change = ThreadSubscriptionChange(
            self.snowflakes.next(self.clock.ms), user_id, room_id, root_id, is_subscribed, is_automatic=False
        )
        self.threads[user_id, room_id, root_id] = change
        self.unpublished.append(change)
        if not self.holds_back:
            self.publish()

    def message(self, *user_ids, **content):
        """Commit a message to the devices of users and publish it; returns it as the devices are shown it."""
        self.clock.ms += 1
        position = self.snowflakes.next(self.clock.ms)
        event = {"type": "m.test", "sender": "@bob:example.org", "content": content}
        encoded = orjson.dumps(event)
        for user_id in user_ids:
            self.inboxes.setdefault((user_id, "DEVICE"), {})[position] = encoded
        messages = tuple((user_id, "DEVICE", encoded) for user_id in user_ids)
        self.unpublished.append(ToDeviceChange(position, messages))
        if not self.holds_back:
            self.publish()
        return event

    def sweep(self):
        """Delete what was acknowledged."""
        for user_id, device_id, since in self.notifier.inboxes.take_acknowledged(1_000):
            waiting = self.inboxes.get((user_id, device_id), {})
            for position in [each for each in waiting if since.covers_message(each)]:
                del waiting[position]

    async def note_device_list(self, user_id, told_to, position):
        """Commit a change of somebody's devices."""
        self.devices.changes[user_id, told_to] = position

    def publish(self):
        """Publish what was committed."""
        changes, self.unpublished = self.unpublished, []
        if changes:
            self.bus.publish(changes)

    def create(self, room_id, creator, visibility="shared"):
        """Commit the first events of a room."""
        self.send(room_id, creator, "m.room.create", "", room_version="11")
        self.member(room_id, creator, "join")
        self.send(room_id, creator, "m.room.power_levels", "", users={creator: 100})
        self.send(room_id, creator, "m.room.history_visibility", "", history_visibility=visibility)

    def member(self, room_id, user_id, membership, sender=None, **content):
        """Commit a member event."""
        if membership not in {"leave", "ban"}:
            self.forgotten.discard((room_id, user_id))
        return self.send(
            room_id, sender or user_id, "m.room.member", user_id, membership=membership, **content
        )

    def forget(self, room_id, user_id):
        """Commit that a user has forgotten a room, and publish it."""
        self.clock.ms += 1
        self.forgotten.add((room_id, user_id))
        self.unpublished.append(ForgetChange(self.snowflakes.next(self.clock.ms), room_id, user_id))
        if not self.holds_back:
            self.publish()

    # What is so.

    @staticmethod
    def _state_of(timeline):
        return {
            (each.event.type, each.event.state_key): each
            for each in timeline
            if each.event.state_key is not None
        }

    def state(self, room_id):
        """(type, state key) → event ID."""
        state = self._state_of(self.committed[room_id])
        return {key: change.event.event_id for key, change in state.items()}

    def membership(self, room_id, user_id):
        """A user's membership, if any."""
        change = self._state_of(self.committed.get(room_id, ())).get(("m.room.member", user_id))
        return None if change is None else change.event.content["membership"]

    def member_event(self, room_id, user_id):
        """A user's member event."""
        return self._state_of(self.committed[room_id])["m.room.member", user_id].event

    def joined(self, user_id):
        """The rooms that a user is in."""
        return {room_id for room_id in self.committed if self.membership(room_id, user_id) == "join"}

    def event_ids(self, room_id):
        """The whole timeline."""
        return [change.event.event_id for change in self.committed[room_id]]

    def told_ids(self, room_id, user_id):
        """The timeline without what users said whom this one ignores."""
        ignored = self.kept(user_id).get("m.ignored_user_list", {"ignored_users": {}})["ignored_users"]
        return [
            change.event.event_id
            for change in self.committed[room_id]
            if change.event.state_key is not None
            or change.event.sender == user_id
            or change.event.sender not in ignored
        ]

    # The reads of sync.

    async def heads(self):
        token = SyncToken()
        for timeline in self.committed.values():
            for change in timeline:
                token = token.advance(change.position)
        for change in self.account_data.values():
            token = token.advance(change.position)
        for waiting in self.inboxes.values():
            for position in waiting:
                token = token.advance(position)
        for position in self.devices.changes.values():
            token = token.advance(position)
        return token

    async def to_device(self, user_id, device_id, after, limit):
        self.reads += 1
        waiting = sorted(self.inboxes.get((user_id, device_id), {}).items())
        return [each for each in waiting if each[0] > after][:limit]

    async def memberships_of(self, user_id):
        self.reads += 1
        rows = []
        for room_id, timeline in self.committed.items():
            change = self._state_of(timeline).get(("m.room.member", user_id))
            if change is not None:
                forgotten = (room_id, user_id) in self.forgotten
                row = MembershipRow(room_id, change.event.content["membership"], change.position, forgotten)
                rows.append(row)
        return rows

    async def sticky_events(self, asked, reader):
        self.reads += 1
        found = [
            TimelineEvent.of_change(change)
            for room_id, after in asked.after.items()
            for change in self.committed[room_id]
            if change.position > after and sticky_until_ms(change.event, change.position) > asked.now_ms
        ]
        found = [shown for shown in found if shown.event.sender not in asked.ignored]
        return sorted(found, key=lambda shown: shown.position)[: asked.limit]

    async def receipts_of(self, room_id, after):
        return []

    async def last_positions(self, room_ids):
        self.reads += 1
        return {
            room_id: timeline[-1].position
            for room_id, timeline in self.committed.items()
            if room_id in room_ids
        }

    async def thread_changes(self, user_id, after, until, limit):
        self.reads += 1
        found = [each for each in self.threads.values() if each.user_id == user_id]
        found = [each for each in found if after < each.position <= until]
        return sorted(found, key=lambda each: -each.position)[:limit]

    async def places_after(self, until, position, limit):
        self.reads += 1
        found = [
            (change.position, room_id)
            for room_id in until
            for change in self.committed[room_id]
            if position < change.position <= until[room_id]
        ]
        return sorted(found)[-limit:]

    async def members_of(self, room_id, count_max):
        self.reads += 1
        rows = self._members_of(room_id)
        return None if len(rows) > count_max else rows

    async def members_in_short(self, room_id, count_max):
        self.reads += 1
        rows = self._members_of(room_id)
        present = [user_id for user_id, membership, _ in rows if membership in {"join", "invite"}]
        gone = [user_id for user_id, membership, _ in rows if membership not in {"join", "invite"}]
        memberships = [membership for _, membership, _ in rows]
        named = present[:count_max] if len(present) > 1 else present + gone[:count_max]
        return named, memberships.count("join"), memberships.count("invite")

    def _members_of(self, room_id):
        state = self._state_of(self.committed[room_id])
        rows = [
            (key, change.event.content["membership"], change.position)
            for (type_, key), change in state.items()
            if type_ == "m.room.member"
        ]
        return sorted(rows, key=lambda row: row[2])

    async def joined_counts(self, room_ids):
        return {
            room_id: sum(
                type_ == "m.room.member" and each.event.content["membership"] == "join"
                for (type_, _), each in self._state_of(self.committed[room_id]).items()
            )
            for room_id in room_ids
        }

    async def events_until(self, room_id, position, count_max, reader):
        self.reads += 1
        found = [change for change in self.committed[room_id] if change.position <= position]
        return [TimelineEvent.of_change(change) for change in found[::-1][:count_max]]

    async def state_at(self, room_id, position, *, members=None):
        self.reads += 1
        timeline = [change for change in self.committed[room_id] if change.position <= position]
        return [
            change.event
            for (type_, key), change in self._state_of(timeline).items()
            if type_ != "m.room.member" or members is None or key in members
        ]

    async def members_at(self, room_id, position, user_ids):
        state = await self.state_at(room_id, position, members=user_ids)
        return [event for event in state if event.type == "m.room.member"]

    async def state_changes(self, room_id, after, until):
        self.reads += 1
        timeline = [change for change in self.committed[room_id] if after < change.position <= until]
        return [(change.position, change.event) for change in self._state_of(timeline).values()]

    async def membership_history(self, room_id, user_id):
        self.reads += 1
        return [
            (change.position, change.event.content["membership"])
            for change in self.committed[room_id]
            if (change.event.type, change.event.state_key) == ("m.room.member", user_id)
        ]

    async def offer(self, room_id, user_id, position):
        return None  # every room is here

    async def visibility_history(self, room_id):
        self.reads += 1
        return [
            (change.position, change.event.content["history_visibility"])
            for change in self.committed[room_id]
            if change.event.type == "m.room.history_visibility"
        ]

    async def bundles(self, room_id, events, reader, *, until, now_ms, ignored):
        """What points at an event is looked up in storage only: see `stored_world`."""
        return {}

    async def events(self, event_ids):
        self.reads += 1
        return {
            change.event.event_id: change.event
            for timeline in self.committed.values()
            for change in timeline
            if change.event.event_id in event_ids
        }

    async def erased_among(self, user_ids):
        self.reads += 1
        return ()
