import asyncio

import pytest

from federation.keyring import RENEWED_BEFORE_MS
from federation.known_keys import ASKED_AGAIN_MS_MIN, FAILED_MS_MAX
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.server_keys import OwnKeys, VerifyKey
from homeserver.core.signing import SigningKey, decode_base64, sign_json
from tests.doubles.key_servers import DAY_MS, US, KeysInMemory, signed_event

V11, V4 = ROOM_VERSIONS["11"], ROOM_VERSIONS["4"]
A, B = "a.example", "b.example"


async def test_signatures_of_those_who_should_have_signed_are_looked_at(ring, network, clock):
    a, b = network.servers[A], network.servers[B]

    assert await ring.missing_on(signed_event(clock, a, b), V11, [A, B]) == set()
    assert await ring.missing_on(signed_event(clock, a), V11, [A, B]) == {B}
    assert await ring.missing_on(signed_event(clock), V11, [A, B]) == {A, B}
    assert await ring.missing_on(signed_event(clock, a, b), V11, []) == set()


async def test_what_is_changed_is_signed_no_more_but_for_what_a_redaction_takes(ring, network, clock):
    pdu = signed_event(clock, network.servers[A])

    assert await ring.missing_on(pdu | {"content": {"body": "other"}}, V11, [A]) == set()
    assert await ring.missing_on(pdu | {"depth": 6}, V11, [A]) == {A}


async def test_another_key_under_the_same_name_does_not_count(ring, network, clock):
    impostor = SigningKey.generate(b"i" * 32, network.servers[A].key.version)
    pdu = sign_json(signed_event(clock) | {"content": {}}, A, impostor)

    assert await ring.missing_on(pdu, V11, [A]) == {A}


@pytest.mark.parametrize(
    "signatures",
    [
        None, [], {}, {A: None}, {A: []}, {A: {}}, {A: {"ed25519:a_1": None}}, {A: {"ed25519:a_1": "?"}},
        {A: {"ed25519:a_1": "AAAA"}}, {A: {"rsa:1": "AAAA"}}, {A: {"ed25519:": "AAAA"}},
    ],
)  # fmt: skip
async def test_what_is_no_signature_is_missing(ring, clock, signatures):
    assert await ring.missing_on(signed_event(clock) | {"signatures": signatures}, V11, [A]) == {A}


async def test_our_own_signatures_need_nobody(make_ring, network, clock):
    key, old = SigningKey.generate(b"1" * 32, "a_1"), SigningKey.generate(b"0" * 32, "a_0")
    own = OwnKeys(US, key, {"ed25519:a_0": VerifyKey(old.public_key, clock.now_ms() - 1, is_old=True)})
    ring = make_ring(own=own)
    unsigned = signed_event(clock) | {"content": {}}
    before = unsigned | {"origin_server_ts": clock.now_ms() - 1}

    assert await ring.missing_on(sign_json(unsigned, US, key), V11, [US]) == set()
    assert await ring.missing_on(sign_json(before, US, old), V11, [US]) == set()
    assert await ring.missing_on(sign_json(unsigned, US, old), V11, [US]) == {US}
    assert network.asked == []


async def test_keys_are_asked_for_once(ring, network, clock):
    pdu = signed_event(clock, network.servers[A])

    await asyncio.gather(*(ring.missing_on(pdu, V11, [A]) for _ in range(20)))
    await ring.missing_on(pdu, V11, [A])

    assert network.asked == [(A, "/_matrix/key/v2/server")]


async def test_keys_outlive_the_process(make_ring, network, clock):
    table = KeysInMemory()
    pdu = signed_event(clock, network.servers[A])
    await make_ring(table=table).missing_on(pdu, V11, [A])
    network.servers[A].is_down = True

    assert await make_ring(table=table).missing_on(pdu, V11, [A]) == set()


async def test_who_gives_up_waiting_takes_the_answer_from_nobody(ring, network, clock):
    pdu = signed_event(clock, network.servers[A])
    waiting = [asyncio.ensure_future(ring.missing_on(pdu, V11, [A])) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()

    assert await waiting[1] == set()
    assert len(network.asked) == 1


class TestValidity:
    async def test_an_event_is_sent_while_the_key_holds(self, ring, network, clock):
        a = network.servers[A]
        a.lifetime_ms = DAY_MS
        until_ms = clock.now_ms() + DAY_MS

        assert await ring.missing_on(signed_event(clock, a, sent_ms=until_ms), V11, [A]) == set()
        assert await ring.missing_on(signed_event(clock, a, sent_ms=until_ms + 1), V11, [A]) == {A}

    async def test_old_room_versions_do_not_ask_for_that(self, ring, network, clock):
        a = network.servers[A]
        pdu = signed_event(clock, a, sent_ms=clock.now_ms() + 100 * DAY_MS, event_id="$1:a.example")

        assert await ring.missing_on(pdu, V4, [A]) == set()

    async def test_what_is_sent_later_makes_us_ask_again(self, ring, network, clock):
        a = network.servers[A]
        await ring.missing_on(signed_event(clock, a), V11, [A])
        clock.advance(2 * DAY_MS)

        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == set()
        assert a.asked == 2

    async def test_no_server_can_say_that_its_keys_hold_for_more_than_a_week(self, ring, network, clock):
        a = network.servers[A]
        a.lifetime_ms = 100 * DAY_MS
        week_ms = clock.now_ms() + 7 * DAY_MS

        assert await ring.missing_on(signed_event(clock, a, sent_ms=week_ms), V11, [A]) == set()
        assert await ring.missing_on(signed_event(clock, a, sent_ms=week_ms + 1), V11, [A]) == {A}
        assert a.asked == 1  # it would be asked in vain

    async def test_an_old_key_holds_for_what_was_sent_before(self, ring, network, clock):
        a = network.servers[A]
        former = replace_key(a)
        clock.advance(1_000)
        a.rotate(2)

        assert await ring.missing_on(signed_event(clock, former, sent_ms=clock.now_ms()), V11, [A]) == set()
        assert await ring.missing_on(signed_event(clock, former, sent_ms=clock.now_ms() + 1), V11, [A]) == {A}
        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == set()

    async def test_a_key_that_is_published_no_more_holds_as_it_did(self, ring, network, clock):
        a = network.servers[A]
        pdu = signed_event(clock, a)
        await ring.missing_on(pdu, V11, [A])
        a.own = OwnKeys(A, SigningKey.generate(b"n" * 32, "new"))
        clock.advance(ASKED_AGAIN_MS_MIN)

        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == set()
        assert await ring.missing_on(pdu, V11, [A]) == set()


def replace_key(server):
    """Somebody who signs with the server's present key, whatever becomes of it."""

    class Former:
        def __init__(self, name, key):
            self.name, self.key = name, key

        def sign(self, value):
            return sign_json(value, self.name, self.key)

    return Former(server.name, server.key)


class TestMany:
    async def test_many_are_verified_as_one_is(self, ring, network, clock):
        a, b = network.servers[A], network.servers[B]
        several = [
            (signed_event(clock, a), [A]),
            (signed_event(clock, a, b), [A, B]),
            (signed_event(clock, a), [A, B]),
            (signed_event(clock, a) | {"depth": 9}, [A]), (signed_event(clock), []),
        ] * 50  # fmt: skip

        alone = [await ring.missing_on(pdu, V11, signers) for pdu, signers in several]

        assert await ring.missing_on_each(several, V11) == alone
        assert alone[:5] == [set(), set(), {B}, {A}, set()]

    async def test_none_are_no_trouble(self, ring):
        assert await ring.missing_on_each([], V11) == []

    async def test_servers_are_asked_side_by_side_and_storage_once(self, make_ring, network, clock):
        table = KeysInMemory()
        ring = make_ring(table=table)
        servers = [network.add(f"s{number}.example") for number in range(30)]
        several = [(signed_event(clock, server), [server.name]) for server in servers for _ in range(3)]

        assert await ring.missing_on_each(several, V11) == [set()] * 90
        assert len(network.asked) == 30
        assert table.reads == 1


class TestRequests:
    async def test_a_request_is_signed_with_a_present_key(self, ring, network, clock):
        a = network.servers[A]
        signature = decode_base64(a.key.sign(b"message"))

        assert await ring.verify_request(A, a.key.key_id, b"message", signature) is True
        assert await ring.verify_request(A, a.key.key_id, b"other", signature) is False
        assert await ring.verify_request(A, "ed25519:other", b"message", signature) is None
        assert await ring.verify_request("c.example", a.key.key_id, b"message", signature) is None

    async def test_an_old_key_signs_no_requests(self, ring, network, clock):
        a = network.servers[A]
        old = a.key
        a.rotate(2)

        assert await ring.verify_request(A, old.key_id, b"m", decode_base64(old.sign(b"m"))) is None

    async def test_a_key_whose_time_is_over_is_asked_for_again(self, ring, network, clock):
        a = network.servers[A]
        signature = decode_base64(a.key.sign(b"m"))
        assert await ring.verify_request(A, a.key.key_id, b"m", signature)
        clock.advance(DAY_MS + 1)

        assert await ring.verify_request(A, a.key.key_id, b"m", signature)
        assert a.asked == 2
        clock.advance(DAY_MS + 1)
        a.is_down = True
        assert await ring.verify_request(A, a.key.key_id, b"m", signature) is None

    async def test_a_server_that_is_back_is_not_made_to_wait(self, ring, network, clock):
        a = network.servers[A]
        a.is_down = True
        for _ in range(12):
            await ring.missing_on(signed_event(clock, a), V11, [A])
            clock.advance(FAILED_MS_MAX // 2)
        await ring.missing_on(signed_event(clock, a), V11, [A])
        a.is_down = False
        signature = decode_base64(a.key.sign(b"m"))

        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == {A}
        clock.advance(ASKED_AGAIN_MS_MIN)
        assert await ring.verify_request(A, a.key.key_id, b"m", signature)

    async def test_a_key_is_renewed_before_its_end(self, ring, network, clock):
        a = network.servers[A]
        signature = decode_base64(a.key.sign(b"m"))
        await ring.verify_request(A, a.key.key_id, b"m", signature)
        clock.advance(DAY_MS - RENEWED_BEFORE_MS)
        await ring.verify_request(A, a.key.key_id, b"m", signature)
        await asyncio.sleep(0)
        assert a.asked == 1
        clock.advance(1)

        for _ in range(3):
            assert await ring.verify_request(A, a.key.key_id, b"m", signature)
        for _ in range(10):
            await asyncio.sleep(0)
        clock.advance(RENEWED_BEFORE_MS)
        a.is_down = True

        assert await ring.verify_request(A, a.key.key_id, b"m", signature)
        assert a.asked == 2
