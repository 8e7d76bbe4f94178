"""What every scenario plays on: users, rooms, receivers, meters, and the report that it fills."""

import asyncio
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from clients.load.api import ApiError, MatrixApi
from clients.load.measure import CpuMeter, CpuTimes, Latencies
from clients.load.plan import Target, Transport
from clients.load.receivers import Ledger, LongPollReceiver, Receiver, mark, receiving
from clients.load.websocket_receiver import WebSocketReceiver

__all__ = ["Progress", "Report", "Send", "Stage"]

Progress = Callable[[str, int, int], None]
"""Called with the phase, what is done and what is to do."""

_DRAIN_SECONDS_MAX = 30
_ATTEMPTS_MAX = 5


@dataclass(slots=True)
class Report:
    """The figures of a run; each phase is a flat mapping of names with units."""

    phases: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def clean(self) -> bool:
        """Whether nothing failed, nothing was lost and nothing came twice."""
        return not any(
            phase.get(name, 0) for phase in self.phases.values() for name in ("failed", "lost", "duplicates")
        )


@dataclass(frozen=True, slots=True)
class Send:
    """A message to be sent; its number is its own in the whole run."""

    number: int
    user: MatrixApi
    room_id: str
    body_bytes: int


class Stage:
    """One run against one homeserver.

    Attributes:
        report: filled by the phases.
        users: registered so far.
        meter: of the CPU of the server.
    """

    def __init__(self, *, target: Target, progress: Progress, http: aiohttp.ClientSession) -> None:
        self.target = target
        self.http = http
        self.meter = CpuMeter(server_pids=target.server_pids, postgres_pids=target.postgres_pids)
        self.report = Report()
        self.users: list[MatrixApi] = []
        self.progress = progress
        self._name = f"load{time.time_ns() // 1_000_000:x}"

    async def register(self, count: int) -> None:
        """Make `count` accounts, one after the other."""
        for number in range(count):
            user = MatrixApi(self.http, self.target.base_url)
            await user.register(f"{self._name}u{number}", self.target.shared_secret)
            self.users.append(user)
            self.progress("register", number + 1, count)

    async def create_rooms(self, creators: list[int]) -> list[str]:
        """Make a room by each of these users, one after the other, and record what it costs."""
        before, latencies, rooms = self.meter.read(), Latencies(), []
        for number, creator in enumerate(creators):
            started_s = time.perf_counter()
            rooms.append(await self.users[creator].create_private_room(f"Load {number}"))
            latencies.add(time.perf_counter() - started_s)
            self.progress("create rooms", number + 1, len(creators))
        self.record("create_room", before, len(creators), latencies)
        return rooms

    async def join(self, joins: list[tuple[int, str]]) -> None:
        """Let users join rooms, one after the other, and record what it costs."""
        before, latencies = self.meter.read(), Latencies()
        for done, (user, room_id) in enumerate(joins, start=1):
            started_s = time.perf_counter()
            await self.users[user].join(room_id)
            latencies.add(time.perf_counter() - started_s)
            self.progress("join", done, len(joins))
        self.record("join", before, len(joins), latencies)

    def record(
        self, phase: str, before: CpuTimes, operations: int, latencies: Latencies, **more: Any
    ) -> None:
        """Report a phase that began when the meter showed `before`."""
        cost = _cost(self.meter.read().since(before), operations)
        self.report.phases[phase] = {"operations": operations, **cost, **latencies.summary(), **more}

    def receivers(self, users: Iterable[MatrixApi], transport: Transport, ledger: Ledger) -> list[Receiver]:
        """A receiver for each of these users."""
        if transport == "websocket":
            return [WebSocketReceiver(self.http, user, ledger) for user in users]
        return [LongPollReceiver(user, ledger) for user in users]

    async def deliver_at_rate(
        self,
        phase: str,
        *,
        receivers: list[Receiver],
        ledger: Ledger,
        sends: Iterable[Send],
        rate: int,
        owed: int,
    ) -> None:
        """Send at a rate while others receive, and report what it costs and how long it takes.

        Args:
            phase: its name in the report.
            receivers: those who receive.
            ledger: theirs.
            sends: the messages.
            rate: messages per second.
            owed: how many receivers must get each message.
        """
        latencies, todo = Latencies(), list(sends)
        async with receiving(receivers):
            before, started_s = self.meter.read(), time.perf_counter()
            tasks = []
            for place, send in enumerate(todo):
                await asyncio.sleep(max(0.0, started_s + place / rate - time.perf_counter()))
                tasks.append(asyncio.create_task(self.send_once(send, latencies, ledger, owed)))
                self.progress(phase, place + 1, len(todo))
            failed = (await asyncio.gather(*tasks)).count(False)
            took_s = time.perf_counter() - started_s
            await ledger.settle(_DRAIN_SECONDS_MAX)
            spent = self.meter.read().since(before)
        summary = ledger.latencies.summary()
        delivery = {name.replace("_ms", "_delivery_ms"): value for name, value in summary.items()}
        self.report.phases[phase] = {
            "operations": len(latencies), **_cost(spent, len(latencies)), **latencies.summary(), **delivery,
            "per_second": round(len(latencies) / took_s, 1), "deliveries": ledger.deliveries,
            "server_cpu_per_delivery_us": round(spent.per_operation_us(ledger.deliveries)[0], 1),
            "failed": failed, "lost": ledger.outstanding, "duplicates": ledger.duplicates,
        }  # fmt: skip

    async def send_once(
        self, send: Send, latencies: Latencies, ledger: Ledger | None = None, owed: int = 0
    ) -> bool:
        """Send a message, again with the same transaction ID if need be; True if acknowledged."""
        body = mark(send.number).ljust(send.body_bytes, "x")
        started_s = time.perf_counter()
        if ledger is not None:
            ledger.started(send.number, started_s)
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            try:
                await send.user.send(send.room_id, f"{self._name}-{send.number}", body)
            except (ApiError, aiohttp.ClientError):
                await asyncio.sleep(0.1 * attempt)
            else:
                latencies.add(time.perf_counter() - started_s)
                if ledger is not None:
                    ledger.acknowledged(send.number, owed)
                return True
        return False


def _cost(spent: CpuTimes, operations: int) -> dict[str, float]:
    server_us, postgres_us = spent.per_operation_us(operations)
    return {"server_cpu_us": round(server_us, 1), "postgres_cpu_us": round(postgres_us, 1)}
