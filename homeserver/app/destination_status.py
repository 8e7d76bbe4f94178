"""Tells administrators of other servers: joins the edge towards servers to the one towards clients."""

from collections.abc import Callable

from clients.admin.ports import DestinationView
from federation.destinations import Destinations
from federation.sender.outbox import Outbox
from federation.sender.sender import Sender
from homeserver.core.errors import NotFound
from storage.tables.device_lists import stream_id_of
from storage.tables.queries import Queries
from storage.tables.room_servers import all_servers, rooms_of_server

__all__ = ["DestinationStatus"]


class DestinationStatus:
    """Knows other servers; implements `clients.admin.ports.DestinationReads`.

    Numbers of events are positions without their writer: JSON has them exactly.

    Args:
        queries: who is in which room.
        destinations: who does not answer.
        sender: what waits for whom.
        outbox: messages for devices.
    """

    def __init__(
        self, *, queries: Queries, destinations: Destinations, sender: Sender, outbox: Outbox
    ) -> None:
        self._queries = queries
        self._destinations = destinations
        self._sender = sender
        self._outbox = outbox

    async def all(self) -> list[DestinationView]:
        """Every server with users in our rooms, and every one for which something waits."""
        return [self._view(name) for name in await self._names()]

    async def one(self, destination: str) -> DestinationView:
        """One server.

        Raises:
            NotFound: nothing is known of it.
        """
        if destination not in self._known() and not await rooms_of_server(self._queries, destination):
            raise NotFound("Nothing is known of this server.")
        return self._view(destination)

    async def rooms(self, destination: str) -> list[tuple[str, int]]:
        """The rooms with users of a server, and a number of the last event in each."""
        found = await rooms_of_server(self._queries, destination)
        return [(room_id, stream_id_of(position)) for room_id, position in found]

    def reset(self, destination: str) -> bool:
        """Let a server be asked at once; whether it was left alone."""
        return self._destinations.reset(destination)

    @property
    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """Numbers to be looked at, by name, and what each is."""
        queues = self._sender.queues
        return {
            "destinations_failing": (
                "Servers that did not answer when they were last asked.",
                lambda: len(self._destinations.all_failing()),
            ),
            "destinations_waiting": ("Servers for which something waits.", lambda: len(queues)),
            "events_queued": (
                "Events that wait in memory, each counted for each server.",
                lambda: sum(len(queue.live) for queue in queues.values()),
            ),
            "rooms_behind": (
                "Rooms of which servers may lack events, each counted for each server.",
                lambda: sum(len(queue.behind) for queue in queues.values()),
            ),
        }

    def _known(self) -> set[str]:
        return {*self._destinations.all_failing(), *self._sender.queues, *self._outbox.destinations}

    async def _names(self) -> set[str]:
        return self._known().union(await all_servers(self._queries))

    def _view(self, name: str) -> DestinationView:
        trouble = self._destinations.trouble(name)
        queue = self._sender.queues.get(name)
        oldest = None if queue is None else queue.oldest()
        sent_until = self._sender.seen if oldest is None else oldest - 1
        return DestinationView(
            destination=name,
            retry_last_ms=0 if trouble is None else trouble.failed_ms,
            retry_interval_ms=0 if trouble is None else trouble.interval_ms,
            failure_ms=None if trouble is None else trouble.failing_since_ms,
            sent_until=stream_id_of(sent_until) if sent_until > 0 else None,
            events_queued=0 if queue is None else len(queue.live),
            rooms_behind=0 if queue is None else len(queue.behind),
            messages_waiting=self._outbox.waiting(name),
            users_changed=0 if queue is None else len(queue.users),
        )
