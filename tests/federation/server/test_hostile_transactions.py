"""Whatever another server sends: it is answered, or refused as a mistake of its own; nothing else is lost."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homeserver.core.errors import MatrixError
from homeserver.core.redaction import redact
from homeserver.core.signing import content_hash, sign_json
from homeserver.http.decode import decoded_server_body
from homeserver.runtime.observation import Failure
from tests.doubles.receiving import ask
from tests.factory.room_timeline import signing_key_of

THERE = "there.example"
BOB = "@bob:there.example"
KEYS = (
    "type", "sender", "room_id", "event_id", "state_key", "content", "prev_events", "auth_events", "depth",
    "hashes", "signatures", "origin_server_ts", "redacts", "unsigned",
)  # fmt: skip
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    ["\0", "!", "$", "@", "m.room.member", "m.room.create", BOB, "$a:there.example", "join"]
)
scalars = st.none() | st.booleans() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False) | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
deep = st.integers(100, 300).map(lambda levels: json.loads("[" * levels + "]" * levels))
contents = st.dictionaries(st.sampled_from(["membership", "redacts", "body", "users"]), values, max_size=3)
types = st.sampled_from(["m.room.member", "m.room.create", "m.room.power_levels", "m.room.redaction"])
changes = st.fixed_dictionaries({}, optional={
    **dict.fromkeys(KEYS, values | deep), "content": contents | values,
    "type": types | texts,
})  # fmt: skip
pdus = st.tuples(changes, st.sets(st.sampled_from(KEYS), max_size=1), st.booleans()) | values
bodies = st.fixed_dictionaries({}, optional={"pdus": values, "edus": values, "origin": values})


def drawn(strategy, count):
    """Draw examples; they are tried on one server, which stays as it is."""
    examples = []

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def draw(example):
        examples.append(example)

    draw()
    return examples


def changed(honest, rules, pdu):
    """What a bad server makes of an honest event, maybe with a signature that is valid all the same."""
    if not isinstance(pdu, tuple):
        return pdu
    change, lacking, is_signed = pdu
    made = {key: value for key, value in {**honest, **change}.items() if key not in lacking}
    if is_signed:
        try:
            made["hashes"] = {"sha256": content_hash(made, rules)}
            signed = sign_json(redact(made, rules), THERE, signing_key_of(THERE))
            made["signatures"] = signed["signatures"]
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
    return made


@pytest.mark.parametrize("version", ["1", "6", "12"])
async def test_nothing_that_is_sent_breaks_anything(here, there, version):
    room_id = await here.create("@alice:here.example", preset="public_chat", version=version)
    await there.join(BOB, room_id, here)
    said = await there.say(room_id, BOB)
    answered = 0
    for number, (some, whole) in enumerate(drawn(st.tuples(st.lists(pdus, max_size=4), bodies), 150)):
        made = [changed(dict(said.pdu), said.rules, one) for one in some]
        try:
            body = decoded_server_body(json.dumps({"pdus": made, **whole}).encode())
            told = await here.put(THERE, body, f"t{number}")
        except MatrixError:
            continue
        assert set(told) == {"pdus"}
        answered += 1
    assert answered > 10

    assert [one for one in here.observations if isinstance(one, Failure)] == []
    assert await here.send_to(THERE, said, transaction_id="honest") == {said.event_id: {}}
    assert said.event_id in await here.timeline(room_id)


async def test_nothing_that_is_asked_breaks_anything(here, room_id):
    said = await here.say(room_id, "@alice:here.example")
    odd = texts | st.sampled_from([room_id, said.event_id, "9" * 30])
    queries = st.dictionaries(
        st.sampled_from(["event_id", "v", "limit", "ts", "dir"]), st.lists(odd, min_size=1, max_size=3)
    )
    asked = st.fixed_dictionaries({"earliest_events": st.lists(odd, max_size=3) | values,
                                   "latest_events": st.lists(odd, max_size=3) | values},
                                  optional={"limit": values, "min_depth": values})  # fmt: skip
    endpoints = [
        here.history.get_event, here.history.get_backfill, here.history.get_event_by_time,
        here.history.get_missing_events, here.states.get_state, here.states.get_state_ids,
        here.states.get_event_auth,
    ]  # fmt: skip
    answered = 0
    room_ids, event_ids = st.just(room_id) | odd, st.just(said.event_id) | odd
    for room, event_id, query, body in drawn(st.tuples(room_ids, event_ids, queries, asked), 100):
        for respond in endpoints:
            try:
                decoded = decoded_server_body(json.dumps(body).encode())
                await ask(respond, THERE, decoded, query, room_id=room, event_id=event_id)
                answered += 1
            except MatrixError:
                continue
    assert answered > 5
