"""A run: one scenario against one homeserver."""

import resource

import aiohttp

from clients.load.idle import play_idle
from clients.load.large_room import play_large_room
from clients.load.plan import AnyPlan, IdlePlan, LargeRoomPlan, Plan, Target
from clients.load.rooms import play_rooms
from clients.load.stage import Progress, Report, Stage

__all__ = ["run"]


async def run(*, target: Target, plan: AnyPlan, progress: Progress) -> Report:
    """Go through all phases of the plan's scenario."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
        stage = Stage(target=target, progress=progress, http=http)
        match plan:
            case Plan():
                await play_rooms(stage, plan)
            case LargeRoomPlan():
                await play_large_room(stage, plan)
            case IdlePlan():
                await play_idle(stage, plan)
        return stage.report


def allow_many_connections() -> None:
    """Raise this process's limit of open files, and that of the processes it starts, as far as it goes."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
