"""The scenario of many rooms: make rooms, join, send in a closed loop, deliver at a rate."""

import asyncio
import time

from clients.load.measure import Latencies
from clients.load.plan import Plan
from clients.load.receivers import Ledger
from clients.load.stage import Send, Stage

__all__ = ["play_rooms"]


async def play_rooms(stage: Stage, plan: Plan) -> None:
    """Go through all phases."""
    await stage.register(plan.users)
    rooms = await stage.create_rooms([plan.members_of(number)[0] for number in range(plan.rooms)])
    await stage.join(
        [(user, rooms[room]) for room in range(plan.rooms) for user in plan.members_of(room)[1:]]
    )

    def send_of(number: int) -> Send:
        room = number % plan.rooms
        members = plan.members_of(room)
        user = stage.users[members[number // plan.rooms % len(members)]]
        return Send(number, user, rooms[room], plan.body_bytes)

    await _send_in_closed_loop(stage, plan, [send_of(number) for number in range(plan.messages)])
    ledger = Ledger()
    chosen = [user for number, user in enumerate(stage.users) if plan.is_receiver(number)]
    await stage.deliver_at_rate(
        f"deliver, {plan.transport}",
        receivers=stage.receivers(chosen, plan.transport, ledger),
        ledger=ledger,
        sends=[send_of(plan.messages + place) for place in range(plan.rate * plan.seconds)],
        rate=plan.rate,
        owed=plan.receivers,
    )


async def _send_in_closed_loop(stage: Stage, plan: Plan, sends: list[Send]) -> None:
    latencies, failed, waiting = Latencies(), 0, iter(sends)
    before, started_s = stage.meter.read(), time.perf_counter()

    async def sender() -> None:
        nonlocal failed
        for send in waiting:
            failed += not await stage.send_once(send, latencies)
            stage.progress("send, closed loop", len(latencies), len(sends))

    await asyncio.gather(*(sender() for _ in range(plan.senders)))
    rate = round(len(latencies) / (time.perf_counter() - started_s), 1)
    stage.record("send_closed_loop", before, len(latencies), latencies, failed=failed, per_second=rate)
