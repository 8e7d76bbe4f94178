"""The network between whole servers: it carries signed requests, and loses, repeats, delays and cuts off."""

import asyncio

from federation.client.ports import Answer
from homeserver.core.errors import Unavailable
from homeserver.http.dispatch import RawRequest

DELAY_S_MAX = 0.01


class WholeNetwork:
    """Servers by name, and what goes wrong between them.

    Args:
        chance: decides what does.

    Attributes:
        servers: those that are up.
        cut: pairs of names, in both orders, that cannot reach each other.
        faults: which of `lose_request`, `lose_answer`, `repeat` and `delay` happen now.
        under_way: how many requests are.
    """

    def __init__(self, chance):
        self._chance = chance
        self.servers = {}
        self.cut = set()
        self.faults = set()
        self.under_way = 0

    def exchanges(self, origin):
        """What carries the requests of one server."""
        return _Exchanges(self, origin)

    def cut_off(self, names, all_names):
        """Let some servers reach only each other."""
        others = set(all_names) - set(names)
        self.cut = {pair for one in names for other in others for pair in ((one, other), (other, one))}

    def heal(self):
        self.cut, self.faults = set(), set()

    def happens(self, fault, of_100):
        """Say whether a fault happens now."""
        return fault in self.faults and self._chance.randrange(100) < of_100

    async def carry(self, origin, destination, request):
        """Let one request arrive, once or more often, and its answer come back, or not."""
        self.under_way += 1
        try:
            if self.happens("delay", 30):
                await asyncio.sleep(self._chance.random() * DELAY_S_MAX)
            if self.happens("lose_request", 10):
                raise Unavailable(f"{destination} did not answer in time.")
            for _ in range(2 if self.happens("repeat", 10) else 1):
                answer = await self._arrive(origin, destination, request)
            if self.happens("lose_answer", 10) or (destination, origin) in self.cut:
                raise Unavailable(f"{destination} did not answer in time.")
            return answer
        finally:
            self.under_way -= 1

    async def _arrive(self, origin, destination, request):
        server = self.servers.get(destination)
        if server is None or (origin, destination) in self.cut:
            raise Unavailable(f"{destination} does not answer.")
        headers = {"authorization": request.authorization} if request.authorization else {}
        response = await server.dispatcher.respond(
            RawRequest(request.method, request.target.encode(), headers, request.body, "192.0.2.1")
        )
        if self.servers.get(destination) is not server or server.fuse.is_blown:
            raise Unavailable(f"{destination} closed the connection.")  # it crashed meanwhile
        return Answer(response.status, response.body)


class _Exchanges:
    def __init__(self, network, origin):
        self._network = network
        self._origin = origin

    async def exchange(self, destination, request):
        async with asyncio.timeout(request.timeout_ms / 1000):
            return await self._network.carry(self._origin, destination, request)
