"""The command `homeserver load`."""

import asyncio
import contextlib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from clients.load.fresh_server import fresh_server
from clients.load.plan import AnyPlan, Target, plan_of
from clients.load.report import as_json, as_table
from clients.load.run import allow_many_connections, run
from clients.load.stage import Report

__all__ = ["load"]


class Scenario(StrEnum):
    """What can be played; each has its plan in `clients.load.plan.PLANS`."""

    ROOMS = "rooms"
    LARGE_ROOM = "large-room"
    IDLE = "idle"


class _Bars:
    """One progress bar a phase, on standard error."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, done: int, total: int) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self._progress.add_task(phase, total=total)
        self._progress.update(self._tasks[phase], completed=done)


def _run(target: Target, plan: AnyPlan) -> Report:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=Console(stderr=True)) as progress,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as loop,
    ):
        return loop.run(run(target=target, plan=plan, progress=_Bars(progress)))


def load(  # noqa: PLR0913 - typer makes one option of each parameter
    *,
    base_url: Annotated[str, typer.Argument(help="The homeserver, e.g. http://127.0.0.1:8008.")] = "",
    fresh: Annotated[
        bool, typer.Option(help="Start a fresh Isthmus for the run and remove it after.")
    ] = False,
    scenario: Annotated[Scenario, typer.Option(help="What is played.")] = Scenario.ROOMS,
    users: Annotated[int | None, typer.Option(min=1, max=10_000)] = None,
    rooms: Annotated[int | None, typer.Option(min=1, max=10_000)] = None,
    members: Annotated[int | None, typer.Option(min=1, max=10_000, help="Members a room.")] = None,
    senders: Annotated[int | None, typer.Option(min=1, max=1_000, help="Concurrent senders.")] = None,
    messages: Annotated[
        int | None, typer.Option(min=1, help="Messages in all; rooms: those of the closed loop.")
    ] = None,
    rate: Annotated[int | None, typer.Option(min=1, help="Messages per second in all.")] = None,
    seconds: Annotated[
        int | None, typer.Option(min=1, help="How long to deliver at that rate, or to do nothing (idle).")
    ] = None,
    receivers: Annotated[int | None, typer.Option(min=1, help="Receiving clients a room.")] = None,
    clients: Annotated[int | None, typer.Option(min=1, max=15_000, help="idle: connected clients.")] = None,
    transport: Annotated[
        str | None, typer.Option(help="Receivers use long-poll or (Isthmus only) websocket.")
    ] = None,
    server_pid: Annotated[
        list[int] | None, typer.Option(help="A process of the server, for its CPU.")
    ] = None,
    postgres_pid: Annotated[
        list[int] | None, typer.Option(help="A process of PostgreSQL, for its CPU.")
    ] = None,
    shared_secret: Annotated[str, typer.Option(help="Register by the admin API with this secret.")] = "",
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures here as well.")] = None,
) -> None:
    """Drive any Matrix homeserver with many clients and report latency, losses and CPU per message."""
    plan, mistakes = plan_of(
        scenario,
        {
            "users": users, "rooms": rooms, "members": members, "senders": senders, "messages": messages,
            "rate": rate, "seconds": seconds, "receivers": receivers, "clients": clients,
            "transport": transport,
        },
    )  # fmt: skip
    if bool(base_url) == fresh:
        mistakes.append("Name a homeserver or give --fresh, one of the two.")
    if mistakes:
        raise typer.BadParameter(" ".join(mistakes))
    allow_many_connections()
    given = Target(
        base_url.rstrip("/"), tuple(server_pid or ()), tuple(postgres_pid or ()), shared_secret or None
    )
    with fresh_server() if fresh else contextlib.nullcontext(given) as target:
        report = _run(target, plan)
    typer.echo(as_table(report))
    if json_file is not None:
        json_file.write_text(as_json(plan, report))
    if not report.clean:
        raise typer.Exit(1)
