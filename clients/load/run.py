"""The phases of a run: register, make rooms, join, send in a closed loop, deliver at a rate."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from clients.load.api import ApiError, MatrixApi
from clients.load.measure import CpuMeter, CpuTimes, Latencies
from clients.load.plan import Plan, Target
from clients.load.receivers import Ledger, LongPollReceiver, Receiver, mark, receiving
from clients.load.websocket_receiver import WebSocketReceiver

__all__ = ["Progress", "Report", "Run"]

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


def _cost(spent: CpuTimes, operations: int) -> dict[str, float]:
    server_us, postgres_us = spent.per_operation_us(operations)
    return {"server_cpu_us": round(server_us, 1), "postgres_cpu_us": round(postgres_us, 1)}


class Run:
    """One run against one homeserver."""

    def __init__(self, *, target: Target, plan: Plan, progress: Progress) -> None:
        self._target = target
        self._plan = plan
        self._progress = progress
        self._meter = CpuMeter(server_pids=target.server_pids, postgres_pids=target.postgres_pids)
        self._users: list[MatrixApi] = []
        self._rooms: list[str] = []
        self._report = Report()
        self._name = f"load{time.time_ns() // 1_000_000:x}"
        self._numbers = iter(range(10**9))

    async def run(self) -> Report:
        """Go through all phases."""
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as http:
            await self._register(http)
            await self._create_rooms()
            await self._join_rooms()
            await self._send_in_closed_loop()
            await self._deliver_at_rate(http)
        return self._report

    async def _register(self, http: aiohttp.ClientSession) -> None:
        for number in range(self._plan.users):
            user = MatrixApi(http, self._target.base_url)
            await user.register(f"{self._name}u{number}", self._target.shared_secret)
            self._users.append(user)
            self._progress("register", number + 1, self._plan.users)

    async def _create_rooms(self) -> None:
        before, latencies = self._meter.read(), Latencies()
        for number in range(self._plan.rooms):
            started_s = time.perf_counter()
            creator = self._users[self._plan.members_of(number)[0]]
            self._rooms.append(await creator.create_private_room(f"Load {number}"))
            latencies.add(time.perf_counter() - started_s)
            self._progress("create rooms", number + 1, self._plan.rooms)
        self._record("create_room", before, self._plan.rooms, latencies)

    async def _join_rooms(self) -> None:
        before, latencies = self._meter.read(), Latencies()
        joins = [(user, room) for room in range(self._plan.rooms) for user in self._plan.members_of(room)[1:]]
        for done, (user, room) in enumerate(joins, start=1):
            started_s = time.perf_counter()
            await self._users[user].join(self._rooms[room])
            latencies.add(time.perf_counter() - started_s)
            self._progress("join", done, len(joins))
        self._record("join", before, len(joins), latencies)

    def _record(
        self, phase: str, before: CpuTimes, operations: int, latencies: Latencies, **more: Any
    ) -> None:
        cost = _cost(self._meter.read().since(before), operations)
        self._report.phases[phase] = {"operations": operations, **cost, **latencies.summary(), **more}

    async def _send_once(self, number: int, ledger: Ledger | None, latencies: Latencies) -> bool:
        """Send message `number`, again with the same transaction ID if need be; True if acknowledged."""
        room = number % self._plan.rooms
        members = self._plan.members_of(room)
        user = self._users[members[number // self._plan.rooms % len(members)]]
        body = mark(number).ljust(self._plan.body_bytes, "x")
        started_s = time.perf_counter()
        if ledger is not None:
            ledger.started(number, started_s)
        for attempt in range(1, _ATTEMPTS_MAX + 1):
            try:
                await user.send(self._rooms[room], f"{self._name}-{number}", body)
            except (ApiError, aiohttp.ClientError):
                await asyncio.sleep(0.1 * attempt)
            else:
                latencies.add(time.perf_counter() - started_s)
                if ledger is not None:
                    ledger.acknowledged(number, self._plan.receivers)
                return True
        return False

    async def _send_in_closed_loop(self) -> None:
        total, latencies, failed = self._plan.messages, Latencies(), 0
        before, started_s, ends = self._meter.read(), time.perf_counter(), next(self._numbers) + 1 + total

        async def sender() -> None:
            nonlocal failed
            while (number := next(self._numbers)) < ends:
                failed += not await self._send_once(number, None, latencies)
                self._progress("send, closed loop", len(latencies), total)

        await asyncio.gather(*(sender() for _ in range(self._plan.senders)))
        rate = round(len(latencies) / (time.perf_counter() - started_s), 1)
        self._record("send_closed_loop", before, len(latencies), latencies, failed=failed, per_second=rate)

    def _receivers(self, http: aiohttp.ClientSession, ledger: Ledger) -> list[Receiver]:
        chosen = [user for number, user in enumerate(self._users) if self._plan.is_receiver(number)]
        if self._plan.transport == "websocket":
            return [WebSocketReceiver(http, user, ledger) for user in chosen]
        return [LongPollReceiver(user, ledger) for user in chosen]

    async def _deliver_at_rate(self, http: aiohttp.ClientSession) -> None:
        ledger, latencies = Ledger(), Latencies()
        total = self._plan.rate * self._plan.seconds
        async with receiving(self._receivers(http, ledger)):
            before, started_s = self._meter.read(), time.perf_counter()
            sends = []
            for place in range(total):
                await asyncio.sleep(max(0.0, started_s + place / self._plan.rate - time.perf_counter()))
                sends.append(asyncio.create_task(self._send_once(next(self._numbers), ledger, latencies)))
                self._progress(f"deliver, {self._plan.transport}", place + 1, total)
            failed = (await asyncio.gather(*sends)).count(False)
            took_s = time.perf_counter() - started_s
            await ledger.settle(_DRAIN_SECONDS_MAX)
            spent = self._meter.read().since(before)
        summary = ledger.latencies.summary()
        delivery = {name.replace("_ms", "_delivery_ms"): value for name, value in summary.items()}
        self._report.phases["deliver"] = {
            "operations": len(latencies), **_cost(spent, len(latencies)), **latencies.summary(), **delivery,
            "per_second": round(len(latencies) / took_s, 1), "deliveries": ledger.deliveries,
            "failed": failed, "lost": ledger.outstanding, "duplicates": ledger.duplicates,
            "transport": self._plan.transport,
        }  # fmt: skip
