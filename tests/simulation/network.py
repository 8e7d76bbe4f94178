"""The network between the servers: loses, holds back, repeats, mixes up and cuts off, as one seed says."""

from dataclasses import dataclass

from homeserver.core.errors import Unavailable
from tests.doubles.federated_rooms import Network

_REQUESTS_LOST_OF_100 = 15


@dataclass
class Transmission:
    """A transaction on its way.

    Attributes:
        origin: name of the server that sent it.
        destination: name of the server that it is for.
        events: what is in it.
        tries_left: if it does not arrive, or is not stored.
    """

    origin: str
    destination: str
    events: list
    tries_left: int = 20


class SimulatedNetwork(Network):
    """Servers that can reach each other, or not.

    Attributes:
        is_lossy: requests get lost.
        waiting: the transactions on their way, the oldest first.
    """

    def __init__(self, chance):
        super().__init__()
        self._chance = chance
        self.is_lossy = False
        self.waiting = []

    def reach(self, origin, name):
        server = super().reach(origin, name)
        if self.is_lossy and self._chance.randrange(100) < _REQUESTS_LOST_OF_100:
            raise Unavailable(f"{name} did not answer in time.")
        return server

    def is_cut(self, origin, destination):
        return (origin, destination) in self.cut

    def cut_off(self, names):
        """Let some servers reach only each other."""
        others = set(self.all_names) - set(names)
        self.cut = {pair for one in names for other in others for pair in ((one, other), (other, one))}

    def heal(self):
        self.cut = set()
        self.is_lossy = False

    def take(self, index):
        return self.waiting.pop(index)

    def deliverable(self, *, is_ordered):
        """List the indexes of what could arrive now; if it must come in order, the first of each road."""
        found, roads = [], set()
        for index, one in enumerate(self.waiting):
            road = (one.origin, one.destination)
            if road in self.cut or one.destination not in self.servers or (is_ordered and road in roads):
                continue
            roads.add(road)
            found.append(index)
        return found
