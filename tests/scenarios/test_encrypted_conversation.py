"""Three people talk in an encrypted room on six devices that we did not write; the server dies twice."""

import asyncio

import aiohttp
import pytest

from tests.scenarios.encrypted.devices import PASSWORD, programs
from tests.scenarios.encrypted.talk import Talk
from tests.scenarios.same_view.people import Rest

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(300)]

GREETING, BEFORE, FALLBACK, AFTER = 1, 40, 2, 200
"""Messages: of a device with nio, of the first four devices, with the fallback key, of all six devices."""


async def register(http, base_url, name):
    """Make a user; returns plain requests of a session without keys."""
    nobody = Rest(http, base_url, "")
    body = {"username": name, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
    status, told = await nobody.call("POST", "/_matrix/client/v3/register", body)
    assert status == 200, told
    return Rest(http, base_url, told["access_token"])


async def compare_pictures(one, other):
    """Two people look at both screens, and both say that they see the same."""
    shown, also_shown = await asyncio.gather(one.do("pictures"), other.do("pictures"))
    assert shown == also_shown
    assert len(shown) == 7
    await asyncio.gather(one.do("confirm"), other.do("confirm"))


async def verify(one, other, **how):
    """Two devices with matrix-js-sdk verify each other."""
    await one.do("ask_to_verify", **how)
    await other.do("agree_to_verify", user_id=one.user_id)
    await one.do("begin")
    await other.do("follow")
    await compare_pictures(one, other)


async def verify_by_nio(one, other):
    """Two devices with matrix-nio verify each other, as that was done before there were requests."""
    await one.do("ask_to_verify", user_id=other.user_id, device_id=other.device_id)
    await other.do("agree_to_verify", user_id=one.user_id)
    await compare_pictures(one, other)


class Story:
    """The people and their devices.

    Args:
        server: the process; see conftest.
        made: the client programs.
        http: for plain requests.
    """

    def __init__(self, server, made, http):
        self._server = server
        self._http = http
        self.alice = made.device("alice", "alice", "js")
        self.alice_late = made.device("alice, late", "alice", "js")
        self.alice_nio = made.device("alice, nio", "alice", "nio")
        self.bob = made.device("bob", "bob", "js")
        self.bob_nio = made.device("bob, nio", "bob", "nio")
        self.carol = made.device("carol", "carol", "js")
        self.devices = []
        self.talk = None
        self.recovery_key = ""

    async def meet(self):
        """Four devices of three users log in, their users sign them, and all meet in a room."""
        alice, _, _ = await asyncio.gather(
            *(register(self._http, self._server.base_url, name) for name in ("alice", "bob", "carol"))
        )
        await self._enter(self.alice, self.bob, self.carol)
        await self._enter(self.bob_nio, may_be_removed=True)
        for device in (self.alice, self.bob, self.carol):
            assert not await device.do("cross_sign", anew=False)  # the first keys are nobody's yet
        assert await self.bob.do("cross_sign", anew=True)  # others in their place need the password
        await self.bob.do("sign_own", device_id=self.bob_nio.device_id)
        everybody = [self.bob, self.carol]
        room_id = await self.alice.do("create_room", invite=[one.user_id for one in everybody])
        await asyncio.gather(*(one.do("join", room_id=room_id) for one in everybody))
        self.talk = Talk(room_id, alice)
        await self.all_know()
        await self.greet(self.bob_nio)

    async def _enter(self, *devices, **more):
        await asyncio.gather(*(device.log_in(self._server.base_url, **more) for device in devices))
        self.devices += devices

    async def all_know(self):
        """Until everybody knows of each device, and of no other."""
        known = {}
        for device in self.devices:
            known.setdefault(device.user_id, []).append(device.device_id)
        await asyncio.gather(
            *(one.do("know", room_id=self.talk.room_id, devices=known) for one in self.devices)
        )

    async def trust(self):
        """Alice and Bob verify each other in a room of their own, Alice and Carol from device to device."""
        room_id = await self.alice.do("create_room", invite=[self.bob.user_id])
        await self.bob.do("join", room_id=room_id)
        await verify(self.alice, self.bob, user_id=self.bob.user_id, room_id=room_id)
        await verify(self.carol, self.alice, user_id=self.alice.user_id, device_id=self.alice.device_id)
        for one, other in ((self.alice, self.bob), (self.carol, self.alice)):
            await one.do("is_verified", user_id=other.user_id)
            await other.do("is_verified", user_id=one.user_id)
        await self.alice.do("is_signed", user_id=self.bob.user_id, device_id=self.bob_nio.device_id)

    async def greet(self, device):
        """A device with nio speaks before others speak to it.

        COMPAT: matrix-js-sdk 43 shares a session once more, from its next message on, with a device that
        begins an Olm session where there is one already; nio 0.26 then forgets the session's beginning.
        """
        await self.talk.heard(await self.talk.say(device), self.devices)

    async def kill_while(self, talking, said):
        """End the server at once while all talk, after so many messages; it comes back with what it had."""
        task = asyncio.create_task(talking)
        await self.talk.until_said(said)
        self._server.kill()
        await asyncio.to_thread(self._server.start)
        for device in self.devices:
            if device.kind == "js":
                await device.do("mend")
        await task

    async def drain(self):
        """Carol is in a tunnel, and others take all her one-time keys; what is left is her fallback key."""
        await self.carol.do("cut")
        self.devices.remove(self.carol)
        taken = []
        carol = {"user_id": self.carol.user_id, "device_id": self.carol.device_id}
        while not taken or not taken[-1][1]:
            taken.append(await self.bob.do("claim", **carol))
        again = await self.bob.do("claim", **carol)
        assert again == taken[-1], "the fallback key stays"
        assert len({key for key, _ in taken}) == len(taken) > 20, "no one-time key is given twice"

    async def come_late(self):
        """Alice takes two more devices; one is verified by what she wrote down, and reads all from before."""
        sessions = sorted(set((await self.talk.sessions(self.alice)).values()))
        await self.alice.do("is_backed_up", room_id=self.talk.room_id, sessions=sessions)
        await self._enter(self.alice_late)
        await self._enter(self.alice_nio, token=await self.alice.do("login_token"))
        restored = await self.alice_late.do("recover", recovery_key=self.recovery_key)
        assert restored == {"total": len(sessions), "imported": len(sessions)}
        await self.talk.all_read([self.alice_late])

    async def verify_own(self):
        """Alice's devices verify each other, and the nio devices of two users do."""
        await verify(self.alice_late, self.alice)
        await self.alice.do("sign_own", device_id=self.alice_nio.device_id)
        await self.bob.do("is_signed", user_id=self.alice.user_id, device_id=self.alice_nio.device_id)
        await verify_by_nio(self.alice_nio, self.bob_nio)

    async def fall_back(self):
        """The new devices begin to talk to Carol with her fallback key; she comes back, and reads it."""
        assert (await self.carol.do("counts"))[-1][1] is True, (
            "as far as she knows, her fallback key is unused"
        )
        await self.greet(self.alice_nio)
        await self.talk.say(self.alice_late)
        await self.carol.do("mend")
        self.devices.append(self.carol)
        await self.all_know()
        await self.talk.all_read([self.carol])
        carol = {"user_id": self.carol.user_id, "device_id": self.carol.device_id}
        assert (await self.bob.do("claim", **carol))[1] is False, "there are one-time keys again"
        told = await self.carol.do("counts")
        assert [0, False] in told, "she is told that all is used up"
        assert told[-1][1] is False

    async def remove(self):
        """Bob removes a device with his password: nobody gives it a key any more, and it can read no more."""
        everybody = [device for device in self.devices if device is not self.bob_nio]
        old = await self.talk.sessions(self.alice)
        before = {device: len(await device.do("traffic")) for device in everybody}
        assert await self.bob.do("remove", device_id=self.bob_nio.device_id)
        self.devices.remove(self.bob_nio)
        await self.all_know()
        await self.talk.say_all(dict.fromkeys(everybody, 1))
        await self.all_read()
        sessions = await self.talk.sessions(self.alice)
        new = {event_id: sessions[event_id] for event_id in sessions.keys() - old.keys()}
        assert len(new) == len(set(new.values()) - set(old.values())) == len(everybody), "all have new keys"
        for device in everybody:
            others = {one.device_id for one in everybody if one is not device}
            assert set((await device.do("traffic"))[before[device] :]) == others
        for event_id in new:
            event = await self.talk.event(event_id)
            assert await self.alice_nio.do("can_read", room_id=self.talk.room_id, event=event)
            assert not await self.bob_nio.do("can_read", room_id=self.talk.room_id, event=event)

    async def secrets(self):
        """All that gives anybody access to anything, and all that was said."""
        known = [secret for device in self.devices for secret in await device.do("secrets")]
        return {*known, self.recovery_key, *self.talk.said.values()}

    async def all_read(self):
        """Until everybody has read everything; Alice's nio cannot restore what was said before it came."""
        await self.talk.all_read([device for device in self.devices if device is not self.alice_nio])
        await self.talk.all_read([self.alice_nio], since=GREETING + BEFORE)


async def test_three_people_with_six_devices_read_all_that_they_say(
    talkative_server, interop_python, tmp_path
):
    async with aiohttp.ClientSession() as http, programs(interop_python, tmp_path) as made:
        story = Story(talkative_server, made, http)
        await story.meet()
        await story.trust()
        story.recovery_key = await story.alice.do("set_up_recovery")
        first = list(story.devices)
        await story.kill_while(story.talk.say_all(dict.fromkeys(first, BEFORE // len(first))), BEFORE // 3)
        await story.talk.all_read(first)

        await story.drain()
        await story.come_late()
        await story.fall_back()
        await story.verify_own()

        counts = {device: AFTER // 6 + (number < AFTER % 6) for number, device in enumerate(story.devices)}
        await story.kill_while(story.talk.say_all(counts), len(story.talk.said) + AFTER // 2)
        await story.all_read()
        await story.remove()
        secrets = await story.secrets()
    log = talkative_server.log.read_text()

    assert len(story.talk.said) == GREETING + BEFORE + FALLBACK + AFTER + 5
    assert "path=/_matrix/client/v3/login " in log
    assert len(secrets) > 200
    assert [secret for secret in secrets if secret in log] == []
