"""Rooms with a policy server: nothing is sent that it has not signed, what comes unsigned is soft-failed."""

import asyncio

import pytest

from homeserver.core.content.policy import POLICY_KEY_ID
from homeserver.core.errors import Forbidden, RemoteRefused, Unavailable
from homeserver.core.event.pdu import Event
from homeserver.core.pdu_verdicts import Accepted, SoftFailed
from homeserver.core.redaction import redact
from homeserver.core.room_versions import rules_for
from homeserver.core.signing import SigningKey, encode_base64, sign_json, verify_json
from homeserver.rooms.policies import PolicyRefused, PolicySignatures, PolicyUnavailable, RoomPolicies

ALICE, BOB, POLICY_USER = "@alice:a.example", "@bob:b.example", "@policy:c.example"
POLICY = "c.example"
KEY = SigningKey.generate(b"p" * 32, "policy_server")


class PolicyServer:
    """Signs what it likes; the double of `PolicySigning`."""

    def __init__(self, version):
        self.rules = rules_for(version)
        self.asked = []
        self.refuses = set()
        self.answer = None
        self.gate = None

    async def sign(self, server, pdu):
        assert server == POLICY
        self.asked.append(pdu["content"].get("body", pdu["type"]))
        if self.gate is not None:
            await self.gate.wait()
        if pdu["content"].get("body") in self.refuses:
            raise RemoteRefused(400, "M_FORBIDDEN", "spam")
        if self.answer is not None:
            if isinstance(self.answer, Exception):
                raise self.answer
            return self.answer
        signed = sign_json(redact(dict(pdu), self.rules), POLICY, KEY)
        return {POLICY: {POLICY_KEY_ID: signed["signatures"][POLICY][POLICY_KEY_ID]}}


@pytest.fixture(params=["1", "10", "12"])
def version(request):
    return request.param


@pytest.fixture
def policy(version):
    return PolicyServer(version)


@pytest.fixture
async def room(a, b, version, policy):
    room_id = await a.create(ALICE, version, preset="public_chat")
    await b.join(BOB, room_id, a)
    for server in (a, b):
        signatures = PolicySignatures(remote=policy, queries=server.database)
        server.registry._policies = signatures
        server.ingest._policy = RoomPolicies(registry=server.registry, signatures=signatures)
    return room_id


async def use(a, b, room_id, *, is_joined=True):
    """Let the room use the policy server, on both sides."""
    events = []
    if is_joined:
        entry = await a.member_event(room_id, POLICY_USER, {"membership": "join"})
        await a.accept(POLICY, room_id, entry)
        events.append(entry)
    content = {"via": POLICY, "public_keys": {"ed25519": encode_base64(KEY.public_key)}}
    events.append(await a.send(room_id, ALICE, "m.room.policy", content, ""))
    for event in events:
        await b.accept("a.example", room_id, event)


def is_signed(event):
    redacted = redact(event.pdu, event.rules)
    return verify_json(redacted, POLICY, POLICY_KEY_ID, KEY.public_key)


async def test_what_we_send_is_signed_and_passes_elsewhere_without_asking_again(a, b, room, policy):
    await use(a, b, room)
    said = await a.say(room, ALICE, "hello")
    named = await a.send(room, ALICE, "m.room.name", {"name": "new"}, "")

    assert is_signed(said)
    assert is_signed(named)
    assert verify_json(
        redact(said.pdu, said.rules), "a.example", next(iter(said.pdu["signatures"]["a.example"])),
        a.registry.composer._signing_key.public_key,
    ), "our own signature stays"  # fmt: skip
    assert policy.asked == ["hello", "m.room.name"]
    await b.accept("a.example", room, said, named)
    assert policy.asked == ["hello", "m.room.name"]
    assert said.event_id in await b.timeline(room)


async def test_what_it_refuses_is_not_sent(a, b, room, policy):
    await use(a, b, room)
    before = await a.timeline(room)
    policy.refuses = {"spam"}
    with pytest.raises(PolicyRefused) as caught:
        await a.say(room, ALICE, "spam")
    assert caught.value.body() == {"errcode": "M_FORBIDDEN", "error": "spam"}, "in its own words"
    assert await a.timeline(room) == before

    policy.answer = Unavailable("down")
    with pytest.raises(PolicyUnavailable):
        await a.say(room, ALICE, "hello")
    for nothing in ({}, {POLICY: 7}, {POLICY: {POLICY_KEY_ID: "AAAA"}}, {"other": {POLICY_KEY_ID: "AAAA"}}):
        policy.answer = nothing
        with pytest.raises(Forbidden):
            await a.say(room, ALICE, "hello")
    assert await a.timeline(room) == before
    policy.answer = None
    await a.say(room, ALICE, "hello")
    assert len(await a.timeline(room)) == len(before) + 1


async def test_the_policy_itself_needs_no_signature(a, b, room, policy):
    await use(a, b, room)
    policy.answer = Unavailable("down")
    ended = await a.send(room, ALICE, "m.room.policy", {}, "")
    await b.accept("a.example", room, ended)
    said = await a.say(room, ALICE)
    await b.accept("a.example", room, said)

    assert policy.asked == []
    assert not is_signed(said)


async def test_it_is_in_force_only_while_one_of_its_users_is_there(a, b, room, policy):
    await use(a, b, room, is_joined=False)
    said = await a.say(room, ALICE)
    await b.accept("a.example", room, said)

    assert policy.asked == []


async def test_what_comes_unsigned_is_asked_of_and_soft_failed_if_refused(a, b, room, policy):
    await use(a, b, room)
    a.registry._policies = None  # another server that does not care
    good, bad = await a.say(room, ALICE, "good"), await a.say(room, ALICE, "spam")
    policy.refuses = {"spam"}
    first, second = await b.receive("a.example", room, good, bad)

    assert isinstance(first, Accepted)
    assert isinstance(second, SoftFailed)
    assert policy.asked == ["good", "spam"]
    assert bad.event_id not in await b.timeline(room)


async def test_a_forged_signature_counts_for_nothing(a, b, room, policy):
    await use(a, b, room)
    a.registry._policies = None
    said = await a.say(room, ALICE, "spam")
    policy.refuses = {"spam"}
    other = sign_json(redact(said.pdu, said.rules), POLICY, SigningKey.generate(b"q" * 32, "policy_server"))
    pdu = {**said.pdu, "signatures": {**said.pdu["signatures"], POLICY: other["signatures"][POLICY]}}
    (outcome,) = await b.receive("a.example", room, Event.from_pdu(pdu, said.rules, said.event_id))

    assert isinstance(outcome, SoftFailed)


async def test_a_server_that_is_down_lets_nothing_pass_but_may_be_asked_again(a, b, room, policy):
    await use(a, b, room)
    signatures = b.ingest._policy._signatures
    a.registry._policies = None
    said = await a.say(room, ALICE)
    b_room = await b.registry.actor(room)
    policy.answer = Unavailable("down")
    assert not await signatures.allow(b_room, said)
    policy.answer = None
    assert await signatures.allow(b_room, said)
    policy.answer = {}
    other = await a.say(room, ALICE, "other")
    assert not await signatures.allow(b_room, other)
    policy.answer = None
    count = len(policy.asked)
    assert not await signatures.allow(b_room, other), "it has said no"
    assert len(policy.asked) == count


async def test_events_wait_for_each_other_and_none_forks_the_room(a, b, room, policy):
    await use(a, b, room)
    policy.gate = asyncio.Event()
    sending = [asyncio.ensure_future(a.say(room, ALICE, f"{number}")) for number in range(5)]
    while not policy.asked:  # noqa: ASYNC110 - the double has no event of its own
        await asyncio.sleep(0)
    assert policy.asked == ["0"]
    policy.gate.set()
    said = await asyncio.gather(*sending)

    assert sorted(policy.asked) == ["0", "1", "2", "3", "4"]
    assert all(is_signed(event) for event in said)
    assert len(await a.extremities(room)) == 1


async def test_an_event_that_was_overtaken_is_made_and_signed_anew(a, b, room, policy):
    await use(a, b, room)
    theirs = await b.say(room, BOB, "theirs")
    policy.gate = asyncio.Event()
    sending = asyncio.ensure_future(a.say(room, ALICE, "ours"))
    while "ours" not in policy.asked:  # noqa: ASYNC110 - the double has no event of its own
        await asyncio.sleep(0)
    await a.accept("b.example", room, theirs)
    policy.gate.set()
    ours = await sending

    assert policy.asked.count("ours") == 2
    assert is_signed(ours)
    assert theirs.event_id in ours.prev_events
