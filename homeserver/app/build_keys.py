"""Puts together what takes, tells and hands out the keys of devices and users."""

from contextlib import AsyncExitStack
from dataclasses import dataclass

from homeserver.app.storage import Runtime, Storage
from homeserver.config.model import Configuration
from homeserver.core.positions import SnowflakeClock
from homeserver.e2ee.cross_signing import CrossSigning
from homeserver.e2ee.device_keys import DeviceKeys
from homeserver.e2ee.device_lists import DeviceLists
from homeserver.e2ee.kept_devices import KeptDevices
from homeserver.e2ee.key_ports import RemoteKeys
from homeserver.e2ee.one_time_keys import OneTimeKeys
from homeserver.e2ee.remote_devices import RemoteDeviceLists
from homeserver.e2ee.remote_keys import RemoteAnswers
from homeserver.e2ee.sharing import Sharing
from homeserver.e2ee.signatures import Signatures
from homeserver.runtime.tasks import Tasks

__all__ = ["KeyServices", "build_keys"]


@dataclass(frozen=True, slots=True)
class KeyServices:
    """What the endpoints of keys call."""

    cross_signing: CrossSigning
    device_keys: DeviceKeys
    one_time_keys: OneTimeKeys
    remote_devices: RemoteDeviceLists
    sharing: Sharing
    signatures: Signatures


async def build_keys(
    configuration: Configuration, runtime: Runtime, storage: Storage, *, device_lists: DeviceLists,
    snowflakes: SnowflakeClock, remote_keys: RemoteKeys, stack: AsyncExitStack,
) -> KeyServices:  # fmt: skip
    """Make what keeps keys; tells of changes that an earlier process left untold.

    Args:
        configuration: whose keys may be asked for.
        runtime: the clock.
        storage: where keys are.
        device_lists: tells of changes.
        snowflakes: places of what is not stored.
        remote_keys: the way to keys of users of other servers.
        stack: takes what is to be undone.
    """
    database, server_name = storage.database, configuration.server_name
    await device_lists.announce_left_over()
    tasks = Tasks(runtime.observer)
    stack.push_async_callback(tasks.close)
    tasks.start(device_lists.run(), "device lists")
    sharing = Sharing(
        database=database, interning=storage.interning, is_required=configuration.e2ee.keys_shared_rooms_only
    )
    remote = RemoteAnswers(remote_keys)
    kept = KeptDevices(database)
    device_keys = DeviceKeys(
        database=database, device_lists=device_lists, sharing=sharing, remote=remote, kept=kept,
        server_name=server_name,
    )  # fmt: skip
    remote_devices = RemoteDeviceLists(
        database=database, device_lists=device_lists, kept=kept, remote=remote_keys, clock=runtime.clock,
        observer=runtime.observer, server_name=server_name,
    )  # fmt: skip
    if configuration.federation.enabled:
        stack.callback(storage.bus.subscribe(remote_devices.follow))
        tasks.start(remote_devices.run(), "devices of other servers")
    return KeyServices(
        cross_signing=CrossSigning(database=database, device_lists=device_lists),
        device_keys=device_keys,
        one_time_keys=OneTimeKeys(
            database=database, sharing=sharing, remote=remote, publish=storage.bus.publish,
            snowflakes=snowflakes, clock=runtime.clock, server_name=server_name,
        ),
        remote_devices=remote_devices,
        sharing=sharing,
        signatures=Signatures(database=database, device_keys=device_keys, device_lists=device_lists),
    )  # fmt: skip
