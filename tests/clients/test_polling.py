"""Long polls by the shorter way: the same answers as by the ordinary one, without a task."""

import asyncio

import orjson
import pytest

from homeserver.runtime.observation import Failure, RequestFinished
from tests.clients.polling_world import Poller, Server, settle
from tests.sync.sync_client import Client
from tests.sync.sync_run import USERS, Run, check_against_the_truth

ALICE, BOB = "@alice:example.org", "@bob:example.org"
ROOM = "!room:example.org"
LAZY = {"room": {"state": {"lazy_load_members": True}}}


@pytest.fixture
async def server():
    server = Server()
    await server.start()
    server.world.create(ROOM, ALICE)
    server.world.member(ROOM, BOB, "join")
    yield server
    await server.close()


def bodies(answer):
    status, body = answer
    assert status == 200
    return [event["content"]["body"] for event in body["rooms"]["join"][ROOM]["timeline"]["events"]]


class Sitting:
    """A client whose long poll is still open while things happen."""

    def __init__(self, server, user_id, wanted):
        self.poller = Poller(server, user_id[1:].partition(":")[0], wanted=wanted)
        self.client = Client()

    def take(self):
        answer = self.poller.answer()
        if answer is not None:
            assert answer[0] == 200
            self.client.apply(orjson.dumps(answer[1]))

    async def catch_up(self):
        for _ in range(100):
            if not self.poller.waits:
                self.poller.ask()
            await settle()
            if not self.poller.wire.value():
                return
            self.take()
        raise AssertionError("never up to date")


class PollingRun(Run):
    """A random history, followed by clients that poll, and now and then lose an answer or a connection."""

    def __init__(self, seed, *, is_lazy):
        super().__init__(seed, is_lazy=is_lazy)
        self.server = Server(self.world)
        room = {"timeline": {"limit": self.limit}, "state": {"lazy_load_members": is_lazy}}
        self.sitting = None
        self.wanted = {"room": room}
        self.polls = 0  # by the shorter way
        self.actions += [self.catch_up] * 10

    async def restart(self):
        if self.server.site is not None:
            await self.close()
        await self.server.start()
        self.sitting = {user_id: Sitting(self.server, user_id, self.wanted) for user_id in USERS}
        for user_id, sitting in self.sitting.items():
            sitting.client = self.clients[user_id]
            sitting.poller.since = sitting.client.since

    async def follow(self, user_id):
        await self.world.store()
        sitting, poller = self.sitting[user_id], self.sitting[user_id].poller
        chance = self.random.random()
        if chance < 0.1:
            poller.hang_up()
        elif chance < 0.2 and poller.wire.value():
            poller.since, _ = sitting.client.since, poller.answer()  # it is lost
        poller.since = sitting.client.since
        if poller.wire.value():
            sitting.take()
        if not poller.waits:
            poller.ask()
        await settle()
        sitting.take()

    async def close(self):
        self.polls += self.server.lane._house.requests
        await self.server.close()

    async def go(self, steps):
        await self.restart()
        for _ in range(steps):
            await self.random.choice(self.actions)()
        self.world.holds_back = False
        self.world.publish()


@pytest.mark.parametrize("seed", range(60))
async def test_what_polls_are_told_by_the_shorter_way_is_what_happened(seed):
    run = PollingRun(seed, is_lazy=seed % 2 == 0)
    await run.go(100)
    for user_id in USERS:
        await run.sitting[user_id].catch_up()
        run.sitting[user_id].poller.hang_up()
        check_against_the_truth(run, user_id)
    await run.close()
    assert run.polls >= 5


async def test_a_client_gets_a_seat_with_its_second_poll_and_waits_without_a_task(server):
    alice = Poller(server, "alice")
    assert await alice.poll() is not None
    assert await alice.poll() is None, "the first with a token: nobody knows this request yet"
    assert alice.seat is None
    alice.hang_up()
    assert await alice.poll() is None

    assert alice.seat is not None
    assert len(server.lane._tasks) == 0


async def test_what_all_are_told_alike_is_answered_without_a_task(server):
    pollers = [Poller(server, "bob", fields=f"X-Device: {number}\r\n", wanted=LAZY) for number in range(10)]
    for poller in pollers:
        await poller.take_a_seat()
    started, start = [], server.lane._tasks.start
    server.lane._house.tasks.start = lambda work, name: started.append(name) or start(work, name)
    for text in ("first", "second"):
        server.world.send(ROOM, ALICE, body=text)
        await settle()

        assert [bodies(poller.answer()) for poller in pollers] == [[text]] * 10
        for poller in pollers:
            poller.ask()
    assert len(started) == 2, "one looks, for all"


async def test_what_happens_between_two_polls_is_told_by_the_second(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    server.world.send(ROOM, ALICE, body="first")
    await settle()
    assert bodies(bob.answer()) == ["first"]
    server.world.send(ROOM, ALICE, body="second")
    server.world.send(ROOM, ALICE, body="third")

    assert bodies(await bob.poll()) == ["second", "third"]


async def test_an_answer_that_was_lost_is_given_again(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    since = bob.since
    server.world.send(ROOM, ALICE, body="hello")
    await settle()
    bob.answer()
    bob.since = since

    assert bodies(await bob.poll()) == ["hello"]


async def test_a_poll_that_was_broken_off_tells_again_what_it_found(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    bob.hang_up()
    server.world.send(ROOM, ALICE, body="hello")
    await settle()

    assert bodies(await bob.poll()) == ["hello"]


async def test_time_that_runs_out_is_answered_with_a_token(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    bob.seat._expire()
    await settle()
    status, body = bob.answer()

    assert status == 200
    assert body["next_batch"]
    assert "rooms" not in body
    assert body["device_one_time_keys_count"] == {"signed_curve25519": 0}


async def test_a_poll_in_which_nothing_happened_ends_without_a_task_and_moves_the_token_on(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    since = bob.since
    server.world.create("!other:example.org", ALICE)
    await settle()
    server.lane._house.tasks.start = None
    bob.seat._expire()

    assert bob.answer()[0] == 200
    assert bob.since != since
    assert await bob.poll() is None


async def test_what_is_noted_and_rings_later_is_not_passed_over(server):
    """As receipts in large rooms, which are told once a second."""
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    server.world.holds_back = True
    server.world.send(ROOM, ALICE, body="hello")
    user = server.world.notifier.users.get(BOB)
    waiters, user._waiters = user._waiters, set()
    server.world.holds_back = False
    server.world.publish()
    user._waiters = waiters
    bob.seat._expire()
    await settle()

    assert bodies(bob.answer()) == ["hello"]


async def test_who_is_logged_out_while_waiting_is_told_so(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    server.authenticator.admissions["bob"].is_good = False
    server.world.send(ROOM, ALICE, body="secret")
    await settle()
    status, body = bob.answer()

    assert (status, body["errcode"]) == (401, "M_UNKNOWN_TOKEN")
    assert len(server.lane) == 0


async def test_who_is_logged_out_between_two_polls_is_told_so(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    server.world.send(ROOM, ALICE, body="hello")
    await settle()
    bob.answer()
    server.authenticator.admissions["bob"].is_good = False
    status, body = await bob.poll()

    assert (status, body["errcode"]) == (401, "M_UNKNOWN_TOKEN")


async def test_what_fails_by_the_shorter_way_is_answered_by_the_ordinary_one(server, monkeypatch):
    bob = Poller(server, "bob")
    await bob.take_a_seat()

    async def fail(follower):
        raise RuntimeError("broken")

    with monkeypatch.context() as patched:
        patched.setattr("homeserver.sync.follow.Follower.look", fail)
        server.world.message(BOB, text="for the device alone")
        await settle()
        status, body = bob.answer()
    assert (status, body["errcode"]) == (500, "M_UNKNOWN")
    assert [str(each.error) for each in server.observations if type(each) is Failure] == ["broken"]

    assert (await bob.poll())[1]["to_device"]["events"]


async def test_messages_to_the_device_come_one_page_after_the_other_and_are_acknowledged(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    for number in range(150):
        server.world.message(BOB, number=number)
    await settle()
    first = bob.answer()[1]["to_device"]["events"]
    second = (await bob.poll())[1]["to_device"]["events"]

    assert [event["content"]["number"] for event in first + second] == list(range(150))
    assert await bob.poll() is None


async def test_a_second_poll_of_the_same_client_goes_the_ordinary_way(server):
    bob, again = Poller(server, "bob"), Poller(server, "bob")
    await bob.take_a_seat()
    again.since = bob.since
    assert await again.poll() is None
    assert again.seat is None
    server.world.send(ROOM, ALICE, body="hello")
    await settle()

    assert bodies(bob.answer()) == bodies(again.answer()) == ["hello"]


async def test_a_seat_that_stays_empty_is_given_up(server):
    bob, alice = Poller(server, "bob"), Poller(server, "alice")
    await bob.take_a_seat()
    await alice.take_a_seat()
    bob.hang_up()
    for _ in range(3):
        server.lane.sweep()

    assert len(server.lane) == 1
    server.world.send(ROOM, ALICE, body="hello")
    assert bodies(await bob.poll()) == ["hello"]


async def test_work_that_takes_too_long_is_left_to_the_ordinary_way(server, monkeypatch):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    monkeypatch.setattr("clients.polling.seat.WORK_S_MAX", 0)
    never = asyncio.get_running_loop().create_future()

    async def late(*_):
        await never

    monkeypatch.setattr("homeserver.sync.follow.Follower.look", late)
    server.world.message(BOB, text="hello")
    await settle()
    monkeypatch.undo()

    assert bob.seat is None
    assert len(server.lane) == 0


@pytest.mark.parametrize(
    "fields",
    ["Connection: close\r\n", "Content-Length: 0\r\n", "X-Note: a\r\nX-Note: b\r\n", "X-Note: a\0b\r\n"],
)
async def test_what_is_unusual_gets_no_seat(server, fields):
    bob = Poller(server, "bob", fields=fields)
    for _ in range(4):
        await bob.poll()
        bob.hang_up()

    assert len(server.lane) == 0


@pytest.mark.parametrize(
    "query", ["timeout=0", "full_state=true&timeout=0", "timeout=x", "filter=%7B&timeout=9"]
)
async def test_what_does_not_wait_gets_no_seat(server, query):
    bob = Poller(server, "bob")
    await bob.poll()
    for _ in range(3):
        assert await bob.poll(query) is not None

    assert len(server.lane) == 0


async def test_each_poll_is_observed_and_its_client_noted(server):
    bob = Poller(server, "bob", fields="X-Forwarded-For: 203.0.113.9\r\nUser-Agent: Poller 1\r\n")
    await bob.take_a_seat()
    server.observations.clear()
    server.world.send(ROOM, ALICE, body="hello")
    await settle()
    bob.answer()
    await bob.poll()
    bob.hang_up()

    finished = [each for each in server.observations if isinstance(each, RequestFinished)]
    assert [(each.status, each.user_id, each.client_address) for each in finished] == [
        (200, BOB, "203.0.113.9"), (499, BOB, "203.0.113.9"),
    ]  # fmt: skip
    assert len({each.request_id for each in finished}) == 2
    requester, *noted = server.noted[-1]
    assert (requester.user_id, noted) == (BOB, ["203.0.113.9", "Poller 1"])


async def test_what_a_client_sends_while_it_waits_is_answered_after(server):
    bob = Poller(server, "bob")
    await bob.take_a_seat()
    bob.channel.dataReceived(b"GET /nowhere HTTP/1.1\r\n\r\n")
    await settle()
    assert not bob.wire.value()
    server.world.send(ROOM, ALICE, body="hello")
    await settle()

    first, second = bob.wire.value().split(b"HTTP/1.1 ")[1:]
    assert (first[:3], second[:3]) == (b"200", b"404")
