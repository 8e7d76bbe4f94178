"""Where servers are: found once, believed for as long as they say, and found again."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from federation.client.dns import ServicesReader
from federation.discovery import NeedDelegation, Service, by_priority, discover
from federation.places import Place
from federation.well_known import LIFETIME_MS_MAX, NeedPage, Page, Reading, read_well_known
from homeserver.core.errors import Unavailable
from homeserver.runtime.backoff import Backoff
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness

__all__ = ["Discovered", "Pages"]

PLACES_MAX = 10_000
PLACE_LIFETIME_MS_MIN, PLACE_LIFETIME_MS_MAX = 60_000, 3_600_000
"""A place is believed as long as its SRV records, but in these bounds; then it is put together again."""

SILENCE_MS_MIN, SILENCE_MS_MAX = 60_000, 3_600_000
"""A host that says nothing of use is not asked again for so long; longer each time."""

Value = TypeVar("Value")


class Pages(Protocol):
    """Fetches pages of web servers over TLS."""

    def page(self, need: NeedPage) -> Coroutine[Any, Any, Page | None]:
        """Fetch a page, bounded in size and time; None if it does not come."""


@dataclass(slots=True)
class _Delegation:
    """What a host says.

    Attributes:
        delegated: the server that it named last; None: none.
        until_ms: when it is to be asked again.
        kept_until_ms: how long its last word counts while it says nothing.
        silence: how long to leave it alone.
    """

    delegated: str | None
    until_ms: int
    kept_until_ms: int
    silence: Backoff


class Discovered:
    """Finds servers.

    Args:
        pages: fetches what hosts say.
        services: reads SRV records.
        clock: for lifetimes.
        randomness: among services of one priority.
    """

    def __init__(
        self, *, pages: Pages, services: ServicesReader, clock: Clock, randomness: Randomness
    ) -> None:
        self._pages = pages
        self._services = services
        self._clock = clock
        self._randomness = randomness
        self._places: OrderedDict[str, tuple[Place, int]] = OrderedDict()
        self._delegations: OrderedDict[str, _Delegation] = OrderedDict()
        self._looking: dict[str, asyncio.Task[Place]] = {}

    async def place_of(self, name: str) -> Place:
        """Find a server.

        Args:
            name: a valid server name.

        Raises:
            Unavailable: its name cannot be that of a server, or it says that it has none.
        """
        known = self._places.get(name)
        if known is not None and self._clock.monotonic_ms() < known[1]:
            return known[0]
        task = self._looking.get(name)
        if task is None:
            task = self._looking[name] = asyncio.create_task(self._find(name))
            task.add_done_callback(lambda done: self._found(name, done))
        # Whoever gives up leaves the others what they wait for.
        place = await asyncio.shield(task)
        if not place.hosts:
            raise Unavailable(f"{name} says that it has no Matrix server.")
        return place

    def _found(self, name: str, task: "asyncio.Task[Place]") -> None:
        del self._looking[name]
        if not task.cancelled():
            task.exception()  # told to all who wait, be it nobody

    def forget(self, name: str) -> None:
        """Look for a server anew when it is asked for again: it is not where it was found."""
        self._places.pop(name, None)

    async def close(self) -> None:
        """End what is being looked for."""
        for task in tuple(self._looking.values()):
            task.cancel()
        if self._looking:
            await asyncio.wait(tuple(self._looking.values()))

    async def _find(self, name: str) -> Place:
        try:
            steps = discover(name)
            lifetime_ms = PLACE_LIFETIME_MS_MAX
            need = next(steps)
            while True:
                if isinstance(need, NeedDelegation):
                    need = steps.send(await self._delegated_by(need.host))
                    continue
                services = await self._services.services(need.name)
                lifetime_ms = min(lifetime_ms, services.lifetime_ms)
                need = steps.send(self._in_order(services.found))
        except StopIteration as done:
            place: Place = done.value
        except ValueError as error:
            raise Unavailable(f"{name} cannot be the name of a server.") from error
        until_ms = self._clock.monotonic_ms() + max(lifetime_ms, PLACE_LIFETIME_MS_MIN)
        _keep(self._places, name, (place, until_ms))
        return place

    def _in_order(self, services: tuple[Service, ...]) -> list[Service]:
        chances = self._randomness.token_bytes(4 * len(services))
        parts = [chances[at : at + 4] for at in range(0, len(chances), 4)]
        return by_priority(services, [int.from_bytes(part, "big") / 2**32 for part in parts])

    async def _delegated_by(self, host: str) -> str | None:
        known = self._delegations.get(host)
        if known is not None and self._clock.monotonic_ms() < known.until_ms:
            return known.delegated
        reading = await self._read(host)
        now_ms = self._clock.monotonic_ms()
        if reading.delegated is not None:
            silence = Backoff(SILENCE_MS_MIN, SILENCE_MS_MAX, self._randomness)
            heard = _Delegation(
                reading.delegated, now_ms + reading.lifetime_ms, now_ms + LIFETIME_MS_MAX, silence
            )
        else:
            heard = known or _Delegation(
                None, 0, 0, Backoff(SILENCE_MS_MIN, SILENCE_MS_MAX, self._randomness)
            )
            heard.until_ms = now_ms + heard.silence.next_delay_ms()
            if now_ms >= heard.kept_until_ms:
                heard.delegated = None
        _keep(self._delegations, host, heard)
        return heard.delegated

    async def _read(self, host: str) -> Reading:
        steps = read_well_known(host)
        try:
            need = next(steps)
            while True:
                need = steps.send(await self._pages.page(need))
        except StopIteration as done:
            reading: Reading = done.value
            return reading


def _keep(known: OrderedDict[str, Value], name: str, value: Value) -> None:
    known[name] = value
    known.move_to_end(name)
    while len(known) > PLACES_MAX:
        known.popitem(last=False)
