import asyncio

import pytest

from federation.known_keys import (
    ASKED_AGAIN_MS_MIN,
    ASKED_AT_ONCE_MAX,
    FAILED_MS_MAX,
    FAILED_MS_MIN,
    NAMES_WAITING_MAX,
    NOTARIES_FIRST_MIN,
    KeysNotFound,
)
from homeserver.core.errors import Unavailable
from homeserver.core.room_versions import ROOM_VERSIONS
from homeserver.core.server_keys import OwnKeys
from homeserver.core.signing import SigningKey, decode_base64, sign_json
from tests.doubles.key_servers import DAY_MS, signed_event

V11 = ROOM_VERSIONS["11"]
A, B = "a.example", "b.example"


class TestAskingAgain:
    async def test_a_dead_server_is_not_asked_for_each_event(self, make_ring, network, clock):
        observations = []
        ring = make_ring(observer=observations.append)
        a = network.servers[A]
        a.is_down = True
        pdu = signed_event(clock, a)

        for _ in range(10):
            assert await ring.missing_on(pdu, V11, [A]) == {A}

        assert len(network.asked) == 1
        assert [(type(one), one.server_name) for one in observations] == [(KeysNotFound, A)]

    async def test_a_dead_server_is_left_alone_for_longer_and_longer(self, ring, network, clock):
        a = network.servers[A]
        a.is_down = True
        pdu = signed_event(clock, a)
        for _ in range(3 * FAILED_MS_MAX // FAILED_MS_MIN):
            await ring.missing_on(pdu, V11, [A])
            clock.advance(FAILED_MS_MIN)

        assert 8 <= len(network.asked) <= 18

        a.is_down = False
        clock.advance(FAILED_MS_MAX)
        assert await ring.missing_on(pdu, V11, [A]) == set()

    async def test_a_server_whose_keys_do_not_suffice_is_asked_now_and_then(self, ring, network, clock):
        a = network.servers[A]
        stranger = SigningKey.generate(b"s" * 32, "stranger")
        pdu = sign_json(signed_event(clock) | {"content": {}}, A, stranger)
        for _ in range(10):
            assert await ring.missing_on(pdu, V11, [A]) == {A}
        assert a.asked == 1

        clock.advance(ASKED_AGAIN_MS_MIN)
        await ring.missing_on(pdu, V11, [A])
        assert a.asked == 2

    @pytest.mark.parametrize("answer", [None, [], {}, {"server_name": A}, "text"])
    async def test_a_server_that_answers_nonsense_has_no_keys(self, ring, network, clock, answer):
        a = network.servers[A]
        a.answers_as = answer if answer is not None else 5

        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == {A}

    async def test_a_server_cannot_tell_the_keys_of_another(self, ring, network, clock):
        network.servers[A].answers_as = network.servers[B].published()

        assert await ring.missing_on(signed_event(clock, network.servers[B]), V11, [A]) == {A}
        assert await ring.missing_on(signed_event(clock, network.servers[A]), V11, [A]) == {A}


class TestNotaries:
    @pytest.fixture
    def notary(self, network):
        return network.add("notary.example")

    async def test_a_notary_knows_the_keys_of_the_dead(self, make_ring, network, clock, notary):
        ring = make_ring(notaries=[notary.name])
        a = network.servers[A]
        a.is_down = True

        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == set()
        assert network.asked == [
            (A, "/_matrix/key/v2/server"),
            (notary.name, "/_matrix/key/v2/server"),
            (notary.name, "/_matrix/key/v2/query"),
        ]

    async def test_nobody_is_asked_about_those_who_answer(self, make_ring, network, clock, notary):
        await make_ring(notaries=[notary.name]).missing_on(signed_event(clock, network.servers[A]), V11, [A])

        assert notary.name not in {name for name, _ in network.asked}

    async def test_a_notary_must_have_signed(self, make_ring, network, clock, notary):
        ring = make_ring(notaries=[notary.name])
        a = network.servers[A]
        a.is_down = True
        await ring.missing_on(signed_event(clock, notary), V11, [notary.name])
        notary.answers_as = {"server_keys": [a.published()]}

        assert await ring.missing_on(signed_event(clock, a), V11, [A]) == {A}

    async def test_a_notary_that_lies_is_not_believed(self, make_ring, network, clock, notary):
        ring = make_ring(notaries=[notary.name])
        a = network.servers[A]
        a.is_down = True
        await ring.missing_on(signed_event(clock, notary), V11, [notary.name])
        forged = OwnKeys(A, SigningKey.generate(b"f" * 32, "forged")).published(clock.now_ms() + DAY_MS)
        for lie in (None, 7, [{}], [None], [notary.sign(forged | {"valid_until_ts": 1})], {}):
            notary.answers_as = {"server_keys": lie}
            assert await ring.missing_on(signed_event(clock, a), V11, [A]) == {A}
            clock.advance(FAILED_MS_MAX)

    async def test_two_dead_notaries_do_not_wait_for_each_other(self, make_ring, network, clock, notary):
        other = network.add("other.example")
        other.is_down = notary.is_down = True
        ring = make_ring(notaries=[notary.name, other.name])

        async with asyncio.timeout(5):
            assert await ring.missing_on(signed_event(clock, notary), V11, [notary.name]) == {notary.name}

    async def test_for_many_servers_a_notary_is_asked_first(self, make_ring, network, clock, notary):
        ring = make_ring(notaries=[notary.name])
        servers = [network.add(f"s{number}.example") for number in range(NOTARIES_FIRST_MIN)]
        servers[0].hides = True
        pdus = [(signed_event(clock, server), [server.name]) for server in servers]

        assert await ring.missing_on_each(pdus, V11) == [set()] * len(servers)
        assert [name for name, _ in network.asked] == [notary.name, notary.name, servers[0].name]


class TestNamesThatSomebodyMakesUp:
    @pytest.fixture
    async def flood(self, ring, network):
        """Have as many names asked about as may wait; none of them answers."""
        network.silence = asyncio.Event()
        asking = []

        async def begin():
            for number in range(NAMES_WAITING_MAX):
                question = ring.verify_request(f"x{number}.example", "ed25519:1", b"m", bytes(64))
                asking.append(asyncio.ensure_future(question))
            for _ in range(10):
                await asyncio.sleep(0)
            assert len(network.asked) == ASKED_AT_ONCE_MAX

        yield begin
        network.silence.set()
        assert await asyncio.gather(*asking) == [None] * NAMES_WAITING_MAX

    async def test_they_delay_nobody_who_is_known(self, ring, network, clock, flood):
        a = network.servers[A]
        signature = decode_base64(a.key.sign(b"m"))
        assert await ring.verify_request(A, a.key.key_id, b"m", signature)
        network.asked.clear()
        clock.advance(2 * DAY_MS)
        await flood()

        assert await ring.verify_request(A, a.key.key_id, b"m", signature)

    async def test_there_is_an_end_to_them(self, ring, network, flood):
        await flood()

        with pytest.raises(Unavailable):
            await ring.verify_request("one-more.example", "ed25519:1", b"m", bytes(64))
        assert len(network.asked) == ASKED_AT_ONCE_MAX

    async def test_meanwhile_nobody_is_asked_out_of_curiosity(self, ring, network, flood):
        await flood()

        await ring._known.refresh(A)

        assert (A, "/_matrix/key/v2/server") not in network.asked
