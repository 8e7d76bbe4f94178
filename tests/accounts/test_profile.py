import asyncio

import pytest

from homeserver.accounts.profile import ProfileChanges
from homeserver.core.errors import BadJson, NotFound
from homeserver.runtime.observation import ignore_observations
from homeserver.runtime.tasks import Tasks
from tests.doubles.accounts import AccountsServer, RememberedPropagation


@pytest.fixture
async def server(database):
    server = AccountsServer(database)
    await server.register("alice", inhibit_login=True)
    yield server
    await server.close()


class SlowPropagation(RememberedPropagation):
    def __init__(self):
        super().__init__()
        self.started, self.may_end, self.ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def profile_changed(self, user_id):
        self.started.set()
        await self.may_end.wait()
        await super().profile_changed(user_id)
        self.ended.set()


async def test_propagation_goes_on_when_the_client_has_gone(server, database):
    tasks, propagation = Tasks(ignore_observations), SlowPropagation()
    changes = ProfileChanges(database=database, propagation=propagation, tasks=tasks)

    request = asyncio.create_task(changes.set_field("@alice:localhost", "displayname", "A"))
    await propagation.started.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    propagation.may_end.set()
    await propagation.ended.wait()

    assert propagation.changed == ["@alice:localhost"]
    await tasks.close()


async def test_fields_that_are_set_at_once_are_all_kept(server):
    keys = [f"org.example.number{number}" for number in range(8)]
    await asyncio.gather(
        *(server.profile_changes.set_field("@alice:localhost", key, key) for key in keys)
    )

    assert set(keys) <= set(await server.profiles.profile_of("@alice:localhost"))


async def test_nobody_has_no_profile_to_change(server):
    with pytest.raises(NotFound):
        await server.profile_changes.set_field("@nobody:localhost", "displayname", "x")


async def test_an_integer_that_cannot_be_stored_is_refused(server):
    with pytest.raises(BadJson):
        await server.profile_changes.set_field("@alice:localhost", "org.example.big", 2**70)
