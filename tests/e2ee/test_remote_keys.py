"""Keys of users of other servers: asked for side by side, for so long, and believed as far as they go."""

import asyncio

import pytest

from homeserver.core.errors import Forbidden, InvalidParam
from homeserver.e2ee.remote_keys import RemoteAnswers, parted_by_server

BOB, CAROL, DAVE = "@bob:one.example", "@carol:two.example", "@dave:three.example"


class Servers:
    """Three servers: one answers, one refuses, and one never does; the double of `RemoteKeys`."""

    def __init__(self):
        self.asked = 0
        self.at_once = 0

    async def query(self, server_name, device_keys):
        return await self._answer(
            server_name,
            {
                "device_keys": {BOB: {"B": {}}, CAROL: {"forged": {}}},
                "master_keys": {BOB: {"usage": ["master"]}, "@alice:here": {}},
                "self_signing_keys": "nonsense",
                "user_signing_keys": {BOB: {}},
            },
        )

    async def claim(self, server_name, one_time_keys):
        return await self._answer(server_name, {BOB: {"B": {"a:X": "key"}}, "@alice:here": {}})

    async def _answer(self, server_name, answer):
        self.asked += 1
        self.at_once = max(self.at_once, self.asked)
        try:
            if server_name == "two.example":
                raise Forbidden("Not for you.")
            if server_name == "three.example":
                await asyncio.get_running_loop().create_future()
            return answer
        finally:
            self.asked -= 1


def test_what_is_asked_is_parted_by_server_whatever_its_case():
    asked = {"@alice:here": 1, "@al:HERE": 2, BOB: 3}
    assert parted_by_server(asked, "here") == {
        "here": {"@alice:here": 1, "@al:HERE": 2},
        "one.example": {BOB: 3},
    }
    for wrong in ("alice", "@alice", "", "@a\0:here"):
        with pytest.raises(InvalidParam):
            parted_by_server({wrong: 1}, "here")


async def test_a_server_is_believed_only_about_users_that_it_was_asked_for():
    told = {"device_keys": {}, "master_keys": {}, "self_signing_keys": {}, "user_signing_keys": {}}
    parted = parted_by_server({BOB: [], CAROL: [], DAVE: []}, "here")

    failures = await RemoteAnswers(Servers()).query(parted, told, 20)

    assert told == {
        "device_keys": {BOB: {"B": {}}}, "master_keys": {BOB: {"usage": ["master"]}},
        "self_signing_keys": {}, "user_signing_keys": {},
    }  # fmt: skip
    assert failures.keys() == {"two.example", "three.example"}
    assert failures["two.example"] == {"errcode": "M_FORBIDDEN", "error": "Not for you."}


async def test_claims_are_asked_of_so_many_servers_at_once_and_end_with_the_time():
    servers = Servers()
    parted = parted_by_server({BOB: {"B": "a"}, CAROL: {"C": "a"}, DAVE: {"D": "a"}}, "here")
    told = {}

    failures = await RemoteAnswers(servers, servers_at_once_max=1).claim(parted, told, 20)

    assert servers.at_once == 1
    assert told == {BOB: {"B": {"a:X": "key"}}}
    assert failures.keys() == {"two.example", "three.example"}
