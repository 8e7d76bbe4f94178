"""The scenario of many clients to whom nothing happens: what one of them costs in memory and statements."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

from clients.load.api import MatrixApi
from clients.load.measure import resident_bytes
from clients.load.plan import IdlePlan
from clients.load.receivers import Ledger, Receiver, begin_all, following
from clients.load.stage import Stage
from clients.load.statements import StatementLog

__all__ = ["play_idle"]

_WARM_UP_CLIENTS = 50
_SETTLE_S = 12
"""Until what connecting has left behind, such as writes that wait for company, is done."""


async def play_idle(stage: Stage, plan: IdlePlan) -> None:
    """Connect all clients, then watch the server while nothing happens; the same without them, to compare."""
    await stage.register(plan.users)
    rooms = await stage.create_rooms([plan.members_of(room)[0] for room in range(plan.rooms)])
    await stage.join(
        [(user, rooms[room]) for room in range(plan.rooms) for user in plan.members_of(room)[1:]]
    )
    devices = await _devices(stage, plan.clients)
    ledger = Ledger()
    async with _connected(stage, stage.receivers(devices[:_WARM_UP_CLIENTS], plan.transport, ledger)):
        pass  # what the first clients make the server load for good is no cost of theirs
    await asyncio.sleep(_SETTLE_S)
    alone_bytes = resident_bytes(stage.target.server_pids)
    await _watch(stage, plan, "nobody connected", 0, alone_bytes)
    async with _connected(stage, stage.receivers(devices, plan.transport, ledger)):
        await asyncio.sleep(_SETTLE_S)
        await _watch(stage, plan, f"idle, {plan.transport}", plan.clients, alone_bytes)


async def _devices(stage: Stage, count: int) -> list[MatrixApi]:
    """One client each: the users themselves, then further devices of theirs."""
    devices = list(stage.users)[:count]
    for number in range(len(devices), count):
        devices.append(await stage.users[number % len(stage.users)].another_device())
        stage.progress("log in", number + 1, count)
    return devices


@contextlib.asynccontextmanager
async def _connected(stage: Stage, receivers: list[Receiver]) -> AsyncIterator[None]:
    numbers = itertools.count(1)
    await begin_all(receivers, lambda: stage.progress("connect", next(numbers), len(receivers)))
    async with following(receivers):
        yield


async def _watch(stage: Stage, plan: IdlePlan, phase: str, clients: int, alone_bytes: int) -> None:
    """Let time pass; report what the server used meanwhile."""
    resident = resident_bytes(stage.target.server_pids)
    directory = stage.target.postgres_directory
    asked: dict[str, int] = {}
    before = stage.meter.read()
    async with contextlib.AsyncExitStack() as stack:
        log = None if directory is None else await stack.enter_async_context(StatementLog(directory))
        for second in range(plan.seconds):
            await asyncio.sleep(1)
            stage.progress(phase, second + 1, plan.seconds)
        if log is not None:
            asked["statements"] = len(log.statements())
    spent = stage.meter.read().since(before)
    stage.report.phases[phase] = {
        "operations": clients,
        **asked,
        "server_cpu_share": round(spent.server_s / plan.seconds, 4),
        "resident_mib": round(resident / 2**20, 1),
        "resident_kib_each": round((resident - alone_bytes) / 1024 / max(clients, 1), 1),
        "seconds": plan.seconds,
    }
