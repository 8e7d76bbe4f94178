import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeserver.core.event.pdu import Event
from homeserver.core.room_versions import ROOM_VERSIONS
from storage.interning import Interning
from storage.tables.events import EventNumbers, EventPlace, add_event, add_redaction
from storage.tables.relations import (
    Asked,
    ChildrenPage,
    Parent,
    Relations,
    ThreadsPage,
    add_relation,
    remove_relation,
)
from storage.write import Write

RULES = ROOM_VERSIONS["10"]
ROOM, OTHER_ROOM = 1, 2
ALICE, BOB = "@alice:x", "@bob:x"
MESSAGE = "m.room.message"


class Room:
    """Stores events that point at others, without any other row of a room."""

    def __init__(self, database):
        self.database = database
        self.interning = Interning(database)
        self.relations = Relations(database, self.interning)
        self.position = 0

    async def add(self, content, *, sender=ALICE, type_=MESSAGE, state_key=None, room_nid=ROOM, at_ms=None):
        """Store an event; returns it."""
        self.position += 10
        pdu = {
            "type": type_, "room_id": "!room:x", "sender": sender, "content": content, "depth": 1,
            "origin_server_ts": self.position if at_ms is None else at_ms, "prev_events": [],
            "auth_events": [], "hashes": {"sha256": str(self.position)}, "signatures": {},
        }  # fmt: skip
        if state_key is not None:
            pdu["state_key"] = state_key
        event = Event.from_pdu(pdu, RULES)
        key_nid = None if state_key is None else await self.interning.nid("state_key", state_key)
        numbers = EventNumbers(
            await self.interning.nid("type", type_), await self.interning.nid("user", sender), key_nid
        )
        write = Write()
        add_event(write, event, room_nid, numbers, EventPlace(self.position, 0))
        add_relation(
            write, event, position=self.position, room_nid=room_nid, sender_nid=numbers.sender_nid,
            type_nid=numbers.type_nid,
        )  # fmt: skip
        await self.execute(write)
        return event

    async def child(self, parent, rel_type="m.thread", new_content=None, **fields):
        relates_to = {"rel_type": rel_type, "event_id": getattr(parent, "event_id", parent)}
        content = {"m.relates_to": relates_to} | (
            {} if new_content is None else {"m.new_content": new_content}
        )
        return await self.add(content, **fields)

    async def execute(self, write):
        rows = sorted(write.rows, key=lambda row: row[0].rank)
        for statement, values in rows:
            await self.database.execute(statement.sql, *[[value] for value in values])

    async def redact(self, event):
        write = Write()
        remove_relation(write, event.event_id)
        await self.execute(write)

    async def children(self, parent, **fields):
        page = ChildrenPage(
            **(
                {"parent_id": parent.event_id, "direction": "b", "start": None, "stop": None, "limit": 1000}
                | fields
            )
        )
        return [child.event_id for child in await self.relations.children(ROOM, page, Asked(ALICE))]

    async def summary(self, parent, reader=ALICE, **fields):
        found = await self.relations.summaries(
            ROOM, [Parent(parent.event_id, parent.sender, parent.type)], Asked(reader, **fields)
        )
        return found.get(parent.event_id)

    async def threads(self, reader=ALICE, start=None, limit=1000, *, participated=False, **fields):
        page = ThreadsPage(start, limit, participated)
        return [
            one.root_id for one in (await self.relations.threads(ROOM, page, Asked(reader, **fields))).threads
        ]


def ids(*events):
    return [event.event_id for event in events]


@pytest.fixture
async def room(database):
    return Room(database)


async def test_an_event_that_points_at_nothing_adds_no_row(room, make_event):
    write = Write()
    for content in ({}, {"m.relates_to": None}, {"m.relates_to": {"m.in_reply_to": {"event_id": "$a"}}}):
        add_relation(write, make_event(1, **content), position=1, room_nid=1, sender_nid=1, type_nid=1)

    assert write.rows == []


async def test_times_beyond_what_storage_holds_are_cut_down(room):
    parent = await room.add({})
    event = await room.child(parent, at_ms=2**53 - 1)

    assert await room.children(parent) == ids(event)
    for sent_ms in (2**70, -(2**70)):
        event.origin_server_ts = sent_ms
        write = Write()
        add_relation(write, event, position=-abs(sent_ms % 97), room_nid=3, sender_nid=1, type_nid=1)
        await room.execute(write)


async def test_a_redaction_takes_the_relation_along_in_its_own_write(room, make_event):
    parent = await room.add({})
    event = await room.child(parent)
    write = Write()
    redaction = make_event(7, "m.room.redaction")
    add_redaction(write, event.redacted_by(redaction), redaction.event_id)
    await room.execute(write)

    assert await room.children(parent) == []
    assert await room.summary(parent) is None


async def test_children_in_other_rooms_do_not_count(room):
    parent = await room.add({})
    await room.child(parent, room_nid=OTHER_ROOM)

    assert await room.children(parent) == []
    assert await room.summary(parent) is None
    assert await room.threads() == []


async def test_a_summary_counts_what_is_asked_for(room):
    parent = await room.add({})
    first = await room.child(parent)
    edge = room.position
    second = await room.child(parent, sender=BOB)
    note = await room.child(parent, "m.reference", sender=BOB)

    whole = await room.summary(parent)
    assert (list(whole.replies), whole.replies_count, whole.has_replied) == (ids(second, first), 2, True)
    assert list(whole.references) == ids(note)
    until = await room.summary(parent, until=edge)
    assert (list(until.replies), until.replies_count, list(until.references)) == (ids(first), 1, [])
    without = await room.summary(parent, ignored=[BOB, "@stranger:x"])
    assert (list(without.replies), without.replies_count, list(without.references)) == (ids(first), 1, [])
    assert (await room.summary(parent, reader=BOB, until=edge)).has_replied is False
    assert (await room.summary(parent, reader="@stranger:x")).has_replied is False


async def test_many_references_are_bounded_to_the_latest(room):
    parent = await room.add({})
    notes = [await room.child(parent, "m.reference") for _ in range(205)]

    assert list((await room.summary(parent)).references) == ids(*notes[-200:])


async def test_threads_come_by_their_latest_reply(room):
    one, two, state = await room.add({}), await room.add({}, sender=BOB), await room.add({}, state_key="")
    await room.child(two)
    await room.child(state)
    await room.child("$unknown")
    last = await room.child(one, sender=BOB)
    await room.child(two, "m.reference")

    assert await room.threads() == ids(one, two)
    assert await room.threads(participated=True) == ids(one, two)
    assert await room.threads(reader=BOB, participated=True) == ids(one, two)
    assert await room.threads(reader="@stranger:x", participated=True) == []
    assert await room.threads(limit=1) == ids(one)
    assert await room.threads(start=room.position - 20) == ids(two)
    assert await room.threads(ignored=[BOB]) == ids(two)
    await room.redact(last)
    assert await room.threads() == ids(two)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["plain", "thread", "reference", "edit", "annotation", "redact"]),
        st.integers(0, 30),
        st.sampled_from([ALICE, BOB]),
        st.integers(0, 3),
    ),
    max_size=25,
)
REL_TYPES = {
    "thread": "m.thread",
    "reference": "m.reference",
    "edit": "m.replace",
    "annotation": "m.annotation",
}


class Model:
    """The same answers, found by looking at everything."""

    def __init__(self):
        self.events = []
        self.gone = set()

    def relation(self, event):
        found = event.content.get("m.relates_to")
        return (
            None if found is None or event.event_id in self.gone else (found["rel_type"], found["event_id"])
        )

    def children(self, parent, *rel_types):
        wanted = {(rel_type, parent.event_id) for rel_type in rel_types}
        return [event for event in self.events if self.relation(event) in wanted]

    def edits(self, parent):
        fitting = [
            event for event in self.children(parent, "m.replace")
            if event.sender == parent.sender and "m.new_content" in event.content
        ]  # fmt: skip
        return sorted(fitting, key=lambda event: (event.origin_server_ts, event.event_id))[::-1][:10]

    def descendants(self, parent, levels=3):
        found, level = set(), {parent.event_id}
        for _ in range(levels):
            level = {
                event.event_id for event in self.events
                if (relation := self.relation(event)) and relation[1] in level
            }  # fmt: skip
            found |= level
        return [event for event in self.events if event.event_id in found - {parent.event_id}]

    def threads(self, reader=None):
        latest = []
        for root in self.events:
            replies = self.children(root, "m.thread")
            took_part = reader is None or reader in {root.sender, *[reply.sender for reply in replies]}
            if replies and self.relation(root) is None and took_part:
                latest.append((self.events.index(replies[-1]), root.event_id))
        return [event_id for _, event_id in sorted(latest)[::-1]]


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ACTIONS)
async def test_storage_and_a_plain_list_give_the_same_answers(database, actions):
    await database.execute("TRUNCATE relations, events, event_ids")
    room, model = Room(database), Model()
    for kind, number, sender, at_ms in actions:
        target = model.events[number % len(model.events)] if model.events else None
        if kind == "redact":
            if target is not None:
                model.gone.add(target.event_id)
                await room.redact(target)
        elif kind == "plain" or target is None:
            model.events.append(await room.add({}, sender=sender, at_ms=at_ms))
        else:
            new_content = {} if kind == "edit" and number % 2 else None
            model.events.append(
                await room.child(target, REL_TYPES[kind], new_content, sender=sender, at_ms=at_ms)
            )

    for event in model.events:
        direct = model.children(event, *REL_TYPES.values())
        assert await room.children(event) == ids(*direct[::-1])
        assert await room.children(event, direction="f") == ids(*direct)
        assert await room.children(event, rel_type="m.thread") == ids(
            *model.children(event, "m.thread")[::-1]
        )
        assert await room.children(event, recurse=True, direction="f") == ids(*model.descendants(event))
        replies = model.children(event, "m.thread")
        summary = await room.summary(event)
        if summary is None:
            assert not replies
            assert not model.children(event, "m.reference")
            assert not model.edits(event)
        else:
            assert list(summary.replies) == ids(*replies[::-1][:10])
            assert summary.replies_count == len(replies)
            assert summary.has_replied == any(reply.sender == ALICE for reply in replies)
            assert list(summary.references) == ids(*model.children(event, "m.reference"))
            assert list(summary.edits) == ids(*model.edits(event))
    assert await room.threads() == model.threads()
    assert await room.threads(participated=True) == model.threads(ALICE)
