"""The life of one server process: start, serve until told to stop, stop."""

import asyncio
import gc
import sys
from collections.abc import Callable
from typing import Any

from homeserver.app.listeners import ListenError
from homeserver.app.server import Server, base_url_of
from homeserver.app.storage import Runtime
from homeserver.app.version import VERSION
from homeserver.config.model import Configuration
from homeserver.core.errors import MatrixError
from homeserver.runtime.bridge import route_twisted_log
from homeserver.runtime.clock import SystemClock
from homeserver.runtime.free_memory import FreeMemory
from homeserver.runtime.logging import LogReader, make_log, route_foreign_logs
from homeserver.runtime.metrics import Metrics
from homeserver.runtime.observation import (
    LeaseLost,
    Observation,
    ServerReady,
    ServerStarting,
    ServerStopped,
    ServerStopping,
    all_of,
)
from homeserver.runtime.outgoing_http import AddressRules, OutgoingHttp
from homeserver.runtime.randomness import SystemRandomness
from homeserver.runtime.tasks import Tasks
from storage.embedded import PostgresFailedError, PostgresMissingError
from storage.migrate import SchemaError

__all__ = ["Life"]

FAILED = 1
"""Exit status of a server that could not start, or that another has taken over from."""

_FORESEEN = (
    ListenError, MatrixError, OSError, PostgresFailedError, PostgresMissingError, SchemaError, ValueError,
)  # fmt: skip


class Life:
    """One server, from its start to its end.

    Args:
        configuration: of the server.
        reactor: Twisted's.
        register_command: what the landing page says to type to make a user.
    """

    def __init__(self, configuration: Configuration, reactor: Any, *, register_command: str) -> None:
        self._configuration = configuration
        self._clock = SystemClock()
        self._metrics = Metrics()
        section = configuration.logging
        log = make_log(level=section.level, format=section.format, stream=sys.stderr)
        route_foreign_logs(log)
        route_twisted_log()
        self._observe = all_of(LogReader(log).observe, self._metrics.observe, self._heed)
        self._server = Server(
            configuration,
            Runtime(self._clock, SystemRandomness(), self._observe, _outgoing(configuration, reactor)),
            metrics=self._metrics,
            reactor=reactor,
            register_command=register_command,
        )
        self._reason = ""
        self._status = 0
        self._told_to_stop = asyncio.Event()

    def stop(self, reason: str, status: int = 0) -> None:
        """Stop soon; the first call counts."""
        if not self._told_to_stop.is_set():
            self._reason, self._status = reason, status
            self._told_to_stop.set()

    def _heed(self, observation: Observation) -> None:
        if isinstance(observation, LeaseLost):  # another process writes now; this one must not pretend
            self.stop("the writer lease was lost", FAILED)

    async def live(self, say_ready: Callable[[], None], say_failed: Callable[[str], None]) -> int:
        """Start, serve until told to stop, stop; returns the exit status."""
        began_ms = self._clock.monotonic_ms()
        self._observe(ServerStarting(VERSION, self._configuration.server_name))
        try:
            await self._server.start()
        except _FORESEEN as error:
            say_failed(f"The server cannot start. {error}")
            return FAILED
        # What the start left is here to stay: no collection need look at it again.
        gc.collect()
        gc.freeze()
        tasks = Tasks(self._observe)
        tasks.start(FreeMemory().run(), "free memory")
        url = base_url_of(self._configuration)
        self._observe(ServerReady(url, self._clock.monotonic_ms() - began_ms))
        say_ready()
        await self._told_to_stop.wait()
        await tasks.close()
        stopping_ms = self._clock.monotonic_ms()
        self._observe(ServerStopping(self._reason))
        await self._server.stop()
        self._observe(ServerStopped(self._clock.monotonic_ms() - stopping_ms))
        return self._status


def _outgoing(configuration: Configuration, reactor: Any) -> OutgoingHttp:
    section = configuration.outgoing
    return OutgoingHttp(
        reactor=reactor, rules=AddressRules(section.allowed_ranges), ca_file=section.ca_file
    )
