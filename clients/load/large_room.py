"""The scenario of one large room, of whose members some are connected: what a delivery costs."""

from clients.load.plan import LargeRoomPlan
from clients.load.receivers import Ledger
from clients.load.stage import Send, Stage

__all__ = ["play_large_room"]


async def play_large_room(stage: Stage, plan: LargeRoomPlan) -> None:
    """Make the room, let all join, then send at a rate to those who are connected."""
    await stage.register(plan.members)
    (room_id,) = await stage.create_rooms([0])
    await stage.join([(user, room_id) for user in range(1, plan.members)])
    ledger = Ledger()
    connected = stage.users[: plan.receivers]
    await stage.deliver_at_rate(
        f"large room, {plan.transport}",
        receivers=stage.receivers(connected, plan.transport, ledger),
        ledger=ledger,
        sends=[
            Send(number, connected[number % plan.senders], room_id, plan.body_bytes)
            for number in range(plan.messages)
        ],
        rate=plan.rate,
        owed=plan.receivers,
    )
