"""Users send while what others have sent comes in, all at once: who wins differs, what must be so does not.

So a seed that fails here may not fail again; what it has done to the tables is told all the same.
"""

import asyncio

import pytest

from homeserver.core.errors import MatrixError
from tests.simulation.world import World

TALKERS, ACTIONS_EACH = 3, 12


class Race(World):
    """A world in which nobody waits for anybody."""

    async def race(self, *, is_refusing):
        """Let all users act at once, and servers tell each other; then check what has come of it."""
        self.faults_on, self.may_part = set(), True  # by what each refused when it came
        for node in self.nodes:
            await node.start()
        try:
            await self._begin()
            talking = [asyncio.ensure_future(self._talk(node)) for node in self.nodes for _ in range(TALKERS)]
            while not all(one.done() for one in talking):
                if is_refusing:
                    fuse = self.chance.choice(self.nodes).fuse
                    # The first one fails for several writes at once, which are then tried one by one.
                    fuse.set(flushes=self.chance.randrange(8), flushes_failing=self.chance.randint(2, 5))
                await self._carry_at_once()
                await asyncio.sleep(0)
            for one in talking:
                one.result()
            await self._heal()
            await self._converge()
        finally:
            for node in self.nodes:
                if node.is_up:
                    await node.stop()

    async def _talk(self, node):
        for _ in range(ACTIONS_EACH):
            action = self.chance.choice(self.actions_on)
            if action != "forge":
                try:
                    node.acknowledged.update(await self.actions.act(node, action))
                except MatrixError as error:
                    self._note(node.name, action, error.error)

    async def _carry_at_once(self):
        await self._post_all()
        waiting, self.network.waiting = self.network.waiting, []
        await asyncio.gather(*[self._arrive(one) for one in waiting])

    async def _arrive(self, transmission):
        node = next(one for one in self.nodes if one.name == transmission.destination)
        try:
            await node.server.receive(transmission.origin, self.room_id, *transmission.events)
        except MatrixError as error:
            self._note(node.name, error.error)
            self.network.waiting.append(transmission)


@pytest.mark.parametrize("is_refusing", [False, True])
@pytest.mark.parametrize("seed", range(1, 7))
async def test_servers_agree_after_a_race(seed, is_refusing, open_databases):
    world = Race(seed, await open_databases())
    try:
        await world.race(is_refusing=is_refusing)
    except BaseException:
        print(world.story())  # noqa: T201 - for whoever looks
        raise
