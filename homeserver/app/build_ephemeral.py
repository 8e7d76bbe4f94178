"""Puts together what is live in rooms."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.core.positions import EPHEMERAL_WRITER_OFFSET, SnowflakeClock
from homeserver.ephemeral.ports import ReadMarkerWriter
from homeserver.ephemeral.presence import Presence
from homeserver.ephemeral.receipts import Receipts
from homeserver.ephemeral.remote_presence import RemotePresence
from homeserver.ephemeral.typing import Typing
from homeserver.runtime.tasks import Tasks

__all__ = ["EphemeralServices", "build_ephemeral"]


@dataclass(frozen=True, slots=True)
class EphemeralServices:
    """What the endpoints of typing notices, receipts and presence call.

    Attributes:
        presence: None: it is switched off.
        remote_presence: the same.
        snowflakes: places of what is not stored.
    """

    presence: Presence | None
    receipts: Receipts
    remote_presence: RemotePresence | None
    snowflakes: SnowflakeClock
    typing: Typing


async def build_ephemeral(
    configuration: Configuration,
    runtime: Runtime,
    storage: Storage,
    read_markers: ReadMarkerWriter,
    stack: AsyncExitStack,
) -> EphemeralServices:
    """Make what is live in rooms."""
    database, interning, journal = storage.database, storage.interning, storage.journal
    # Above all that was stored, should the machine's clock have gone back.
    floor = storage.notifier.heard.highest
    snowflakes = SnowflakeClock(journal.writer_id + EPHEMERAL_WRITER_OFFSET, floor)
    storage.notifier.be_born(snowflakes.next(runtime.clock.now_ms()))
    presence = remote_presence = None
    if configuration.presence.enabled:
        remote_presence = RemotePresence(
            queries=database, audience=storage.notifier.presence, snowflakes=snowflakes,
            publish=storage.bus.publish, clock=runtime.clock,
        )  # fmt: skip
        presence = await _presence(runtime, storage, snowflakes, remote_presence, stack)
    note_activity = _nobody if presence is None else presence.be_active
    typing = Typing(
        database=database, interning=interning, publish=storage.bus.publish, clock=runtime.clock,
        snowflakes=snowflakes, note_activity=note_activity,
    )  # fmt: skip
    stack.callback(typing.close)
    stack.callback(storage.bus.subscribe(typing.follow))
    receipts = Receipts(
        database=database, journal=journal, interning=interning, read_markers=read_markers,
        clock=runtime.clock, note_activity=note_activity,
    )  # fmt: skip
    return EphemeralServices(
        presence=presence, receipts=receipts, remote_presence=remote_presence, snowflakes=snowflakes,
        typing=typing,
    )  # fmt: skip


async def _presence(
    runtime: Runtime, storage: Storage, snowflakes: SnowflakeClock, remote: RemotePresence,
    stack: AsyncExitStack,
) -> Presence:  # fmt: skip
    presence = Presence(
        database=storage.database, journal=storage.journal, interning=storage.interning,
        audience=storage.notifier.presence, snowflakes=snowflakes, publish=storage.bus.publish,
        clock=runtime.clock, remote=remote,
    )  # fmt: skip
    await presence.start()
    stack.push_async_callback(presence.close)
    stack.callback(storage.bus.subscribe(presence.follow))
    tasks = Tasks(runtime.observer)
    stack.push_async_callback(tasks.close)
    tasks.start(presence.run(), "presence")
    tasks.start(remote.run(), "presence at other servers")
    return presence


def _nobody(user_id: str, device_id: str | None) -> None:
    """Presence is off: what anybody does is noted nowhere."""
