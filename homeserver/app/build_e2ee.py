"""Puts together what end-to-end encryption needs of a server."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.e2ee.dehydrated_devices import DehydratedDevices
from homeserver.e2ee.device_lists import DeviceLists
from homeserver.e2ee.inbox_sizes import InboxSizes
from homeserver.e2ee.key_backup import KeyBackups
from homeserver.e2ee.ports import Ignoring, RemoteDevices
from homeserver.e2ee.received_messages import ReceivedMessages
from homeserver.e2ee.to_device import ToDevice
from homeserver.runtime.tasks import Tasks
from homeserver.sync.inbox_sweeper import InboxSweeper

__all__ = ["EncryptionServices", "build_e2ee"]


@dataclass(frozen=True, slots=True)
class EncryptionServices:
    """What the endpoints of end-to-end encryption call."""

    dehydrated_devices: DehydratedDevices
    key_backups: KeyBackups
    received_messages: ReceivedMessages
    to_device: ToDevice


def build_e2ee(
    configuration: Configuration, runtime: Runtime, storage: Storage, *, device_lists: DeviceLists,
    ignoring: Ignoring, remote: RemoteDevices, stack: AsyncExitStack,
) -> EncryptionServices:  # fmt: skip
    """Make what devices send each other, and keep."""
    database = storage.database
    sizes = InboxSizes(
        database, runtime.clock, messages_max=configuration.to_device.messages_per_device_max
    )
    stack.callback(storage.bus.subscribe(sizes.take_in))
    sweeper = InboxSweeper(database, storage.notifier.inboxes, runtime.observer)
    stack.push_async_callback(sweeper.sweep)
    tasks = Tasks(runtime.observer)
    stack.push_async_callback(tasks.close)
    tasks.start(sweeper.run(), "inbox sweeper")
    key_backups = KeyBackups(database, runtime.observer)
    tasks.start(key_backups.run(), "key backups")
    return EncryptionServices(
        dehydrated_devices=DehydratedDevices(
            database=database, device_lists=device_lists, clock=runtime.clock
        ),
        key_backups=key_backups,
        received_messages=ReceivedMessages(
            queries=database, journal=storage.journal, sizes=sizes, ignoring=ignoring,
            observer=runtime.observer, server_name=configuration.server_name,
        ),
        to_device=ToDevice(
            queries=database, journal=storage.journal, sizes=sizes, ignoring=ignoring,
            remote=remote, observer=runtime.observer,
            server_name=configuration.server_name,
        )
    )  # fmt: skip
