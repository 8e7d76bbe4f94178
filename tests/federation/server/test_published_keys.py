import orjson
import pytest

from federation.server.keys import SERVERS_PER_QUERY_MAX, ServerKeysEndpoints
from homeserver.core.server_keys import OwnKeys, parse_keys
from homeserver.core.signing import SigningKey, verify_json
from homeserver.http.dispatch import Dispatcher, RawRequest
from homeserver.http.endpoint import endpoints_of
from homeserver.http.router import Router
from homeserver.runtime.observation import RequestFailed
from tests.doubles.accounts import MovableClock
from tests.doubles.key_servers import DAY_MS, US, KeyNetwork, key_ring

A, B = "a.example", "b.example"
OWN = OwnKeys(US, SigningKey.generate(b"u" * 32, "a_us"))


class Asked:
    """Our endpoints of keys, asked over the dispatcher."""

    def __init__(self, network, clock):
        self.ring = key_ring(network, clock, own=OWN)
        endpoints = ServerKeysEndpoints(
            own=OWN, known=self.ring._known, clock=clock, lifetime_ms=DAY_MS,
            may_speak_with=lambda name: name != "denied.example",
        )  # fmt: skip
        self.dispatcher = Dispatcher(
            router=Router(endpoints_of(endpoints)), authenticator=None, rate_limits=None,
            observer=self._observe,
        )  # fmt: skip

    def _observe(self, observation):
        if isinstance(observation, RequestFailed):
            raise observation.error

    async def get(self, path):
        return await self._ask("GET", path, b"")

    async def post(self, content):
        return await self._ask("POST", "/_matrix/key/v2/query", orjson.dumps(content))

    async def _ask(self, method, path, body):
        response = await self.dispatcher.respond(RawRequest(method, path.encode(), {}, body))
        return response.status, orjson.loads(response.body)


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def network(clock):
    network = KeyNetwork(clock)
    network.add(A)
    network.add(B)
    return network


@pytest.fixture
async def asked(network, clock):
    asked = Asked(network, clock)
    yield asked
    await asked.ring.close()


def is_signed_by_us(value):
    return verify_json(value, US, OWN.signing_key.key_id, OWN.signing_key.public_key)


@pytest.mark.parametrize("path", ["/_matrix/key/v2/server", "/_matrix/key/v2/server/ed25519:any"])
async def test_our_keys_are_published(asked, clock, path):
    status, value = await asked.get(path)

    assert status == 200
    (key,) = parse_keys(value, US, clock.now_ms()).values()
    assert (key.public_key, key.valid_until_ms) == (OWN.signing_key.public_key, clock.now_ms() + DAY_MS)


async def test_the_keys_of_another_server_are_told_with_both_signatures(asked, network):
    status, answer = await asked.get(f"/_matrix/key/v2/query/{A}")

    (value,) = answer["server_keys"]
    assert status == 200
    assert value["verify_keys"] == network.servers[A].published()["verify_keys"]
    assert parse_keys(value, A, 0)
    assert is_signed_by_us(value)


async def test_keys_of_several_servers_are_told_at_once(asked, network):
    status, answer = await asked.post({"server_keys": {A: {}, B: {"ed25519:x": {}}, US: {}, "no name": {}}})

    assert status == 200
    assert {value["server_name"] for value in answer["server_keys"]} == {A, B, US}
    assert all(map(is_signed_by_us, answer["server_keys"]))


async def test_nobody_asks_for_nobody(asked):
    assert await asked.post({"server_keys": {}}) == (200, {"server_keys": []})


async def test_what_a_server_said_is_told_until_half_of_its_life_is_over(asked, network, clock):
    path, a = f"/_matrix/key/v2/query/{A}", network.servers[A]
    for _ in range(3):
        await asked.get(path)
        clock.advance(DAY_MS // 4)
    assert a.asked == 1

    await asked.get(path)
    assert a.asked == 2


async def test_a_server_that_says_until_when_keys_should_hold_makes_us_ask_again(asked, network, clock):
    a = network.servers[A]
    a.lifetime_ms = DAY_MS
    await asked.get(f"/_matrix/key/v2/query/{A}")
    clock.advance(20_000)
    a.lifetime_ms = 5 * DAY_MS
    until = clock.now_ms() + 2 * DAY_MS

    _, answer = await asked.get(f"/_matrix/key/v2/query/{A}?minimum_valid_until_ts={until}")
    assert answer["server_keys"][0]["valid_until_ts"] >= until
    _, answer = await asked.post({"server_keys": {A: {"ed25519:a_1": {"minimum_valid_until_ts": until}}}})
    assert answer["server_keys"][0]["valid_until_ts"] >= until
    assert a.asked == 2


async def test_the_dead_are_spoken_for_by_what_they_said_last(asked, network, clock):
    await asked.get(f"/_matrix/key/v2/query/{A}")
    network.servers[A].is_down = True
    clock.advance(30 * DAY_MS)

    _, answer = await asked.get(f"/_matrix/key/v2/query/{A}")

    assert [value["server_name"] for value in answer["server_keys"]] == [A]


async def test_of_servers_that_nobody_knows_nothing_is_told(asked, network):
    for name in ("none.example", "denied.example", "not%20a%20name"):
        assert await asked.get(f"/_matrix/key/v2/query/{name}") == (200, {"server_keys": []})
    assert {name for name, _ in network.asked} == {"none.example"}


async def test_integers_of_any_size_are_handed_on_as_they_were_signed(asked, network):
    a = network.servers[A]
    a.answers_as = a.sign(a.published() | {"signatures": {}, "more": 2**80})

    status, answer = await asked.get(f"/_matrix/key/v2/query/{A}")

    assert status == 200
    assert len(answer["server_keys"]) == 1


TOO_MANY = {f"s{number}.example": {} for number in range(SERVERS_PER_QUERY_MAX + 1)}


@pytest.mark.parametrize(
    "content",
    [{}, {"server_keys": None}, {"server_keys": []}, {"server_keys": {A: []}}, {"server_keys": TOO_MANY}],
)
async def test_what_is_no_question_is_refused(asked, content):
    status, error = await asked.post(content)

    assert (status, error["errcode"]) == (400, "M_INVALID_PARAM")


@pytest.mark.parametrize(
    "criteria",
    [{"k": None}, {"k": {"minimum_valid_until_ts": "x"}}, {"k": {"minimum_valid_until_ts": 2**63}}],
)
async def test_odd_criteria_do_no_harm(asked, criteria):
    status, answer = await asked.post({"server_keys": {A: criteria}})

    assert status == 200
    assert len(answer["server_keys"]) == 1


async def test_a_time_that_is_none_is_refused(asked):
    status, error = await asked.get(f"/_matrix/key/v2/query/{A}?minimum_valid_until_ts=soon")

    assert (status, error["errcode"]) == (400, "M_INVALID_PARAM")
