"""One user who is here: the devices, and what they add up to. No I/O, and no clock of its own.

Spec: https://spec.matrix.org/v1.19/client-server-api/#presence
"""

from homeserver.core.changes import PresenceChange
from homeserver.runtime.token_bucket import TokenBucket

__all__ = ["OFFLINE", "ONLINE", "UNAVAILABLE", "PresentUser"]

ONLINE = "online"
UNAVAILABLE = "unavailable"
OFFLINE = "offline"

ACTIVE_MS = 60_000
"""For so long after the last activity a user is *currently* active, and nothing further is told of it."""
IDLE_MS = 300_000
"""After so long without activity a user is unavailable."""
DISCONNECT_MS = 30_000
"""A device is given so long to come back: between two long polls, and after a lost connection."""
DEVICES_MAX = 20


class _Device:
    """A device that is here, or was a moment ago."""

    __slots__ = ("connections", "is_set_by_hand", "left_ms", "wish")

    def __init__(self, wish: str, now_ms: int) -> None:
        self.wish = wish
        self.is_set_by_hand = False  # with a PUT, not along with a sync
        self.connections = 0
        self.left_ms = now_ms


class PresentUser:
    """A user with at least one device that is here. All times but one are monotonic.

    Attributes:
        user_id: who.
        last_active_ms: wall time of the last activity; 0: not known.
        status_msg: what the user says.
        shown: what was published last.
        queued_ms: for when the user is in the queue of deadlines.
        refreshed_ms: when the time of the last activity was published last.
        bucket: how often changes may be published.
    """

    __slots__ = (
        "_active_ms", "_devices", "bucket", "last_active_ms", "queued_ms", "refreshed_ms", "shown",
        "status_msg", "user_id",
    )  # fmt: skip

    def __init__(
        self, user_id: str, last_active_ms: int, status_msg: str | None, bucket: TokenBucket
    ) -> None:
        self.user_id = user_id
        self.last_active_ms = last_active_ms
        self.status_msg = status_msg
        self.shown: PresenceChange | None = None
        self.queued_ms: int | None = None
        self.refreshed_ms = 0
        self.bucket = bucket
        self._active_ms = -IDLE_MS
        self._devices: dict[str, _Device] = {}

    @property
    def is_gone(self) -> bool:
        """No device is left."""
        return not self._devices

    def restore(self, now_ms: int, idle_ms: int) -> None:
        """Take it that the user was here until a moment ago, on a device that nobody knows."""
        self._devices[""] = _Device(ONLINE, now_ms)
        self._active_ms = now_ms - idle_ms

    def connect(self, device_id: str, wish: str | None, now_ms: int, wall_ms: int) -> None:
        """A device begins to follow the stream.

        Args:
            device_id: which.
            wish: `online` or `unavailable` as it said; None if it said nothing.
            now_ms: monotonic time.
            wall_ms: wall time.
        """
        was_offline = self.state(now_ms)[0] == OFFLINE
        self._devices.pop("", None)  # whoever was expected back is here
        device = self._devices.get(device_id)
        if device is None:
            device = self._add(device_id, wish or ONLINE, now_ms)
        elif wish is not None or not (device.is_set_by_hand and device.wish == UNAVAILABLE):
            chosen = wish or ONLINE
            if chosen == ONLINE and device.wish != ONLINE:
                self._be_active(now_ms, wall_ms)
            device.wish = chosen
            device.is_set_by_hand = False
        device.connections += 1
        if was_offline and device.wish == ONLINE:
            self._be_active(now_ms, wall_ms)

    def is_as_wished(self, device_id: str, wish: str | None) -> bool:
        """Another connection of the device, with this wish, would change nothing."""
        device = self._devices.get(device_id)
        if device is None or "" in self._devices:
            return False
        is_kept = wish is None and device.is_set_by_hand and device.wish == UNAVAILABLE
        return is_kept or device.wish == (wish or ONLINE)

    def disconnect(self, device_id: str, now_ms: int) -> None:
        """One of a device's connections has ended."""
        device = self._devices.get(device_id)
        if device is None or not device.connections:
            return
        device.connections -= 1
        device.left_ms = now_ms
        if not device.connections and device.wish == OFFLINE:
            del self._devices[device_id]

    def set_by_hand(self, device_id: str, wish: str, now_ms: int, wall_ms: int) -> None:
        """A device says how its user is, apart from syncing; that counts as a sign of life."""
        self._devices.pop("", None)
        device = self._devices.get(device_id)
        if wish == OFFLINE and (device is None or not device.connections):
            self._devices.pop(device_id, None)
        else:
            device = device or self._add(device_id, wish, now_ms)
            device.wish, device.is_set_by_hand, device.left_ms = wish, True, now_ms
        self.last_active_ms = wall_ms
        if wish == ONLINE:
            self._be_active(now_ms, wall_ms)

    def be_active(self, device_id: str | None, now_ms: int, wall_ms: int) -> None:
        """The user did something on a device, which may be one that is not here: then all wake up."""
        self._be_active(now_ms, wall_ms)
        device = None if device_id is None else self._devices.get(device_id)
        for each in self._devices.values() if device is None else (device,):
            if each.wish == UNAVAILABLE:
                each.wish, each.is_set_by_hand = ONLINE, False

    def drop_devices(self, now_ms: int) -> None:
        """Give up the devices that did not come back."""
        gone = [
            device_id
            for device_id, device in self._devices.items()
            if not device.connections and now_ms - device.left_ms >= DISCONNECT_MS
        ]
        for device_id in gone:
            del self._devices[device_id]

    def state(self, now_ms: int) -> tuple[str, bool]:
        """What the devices add up to, the most active first: the presence, and whether currently active."""
        wishes = {device.wish for device in self._devices.values()}
        idle_ms = now_ms - self._active_ms
        if ONLINE in wishes and idle_ms < IDLE_MS:
            return ONLINE, idle_ms < ACTIVE_MS
        return (UNAVAILABLE, False) if ONLINE in wishes or UNAVAILABLE in wishes else (OFFLINE, False)

    def deadline_ms(self, now_ms: int) -> int | None:
        """When the next thing changes by the passing of time alone; None: nothing does."""
        deadlines = [
            device.left_ms + DISCONNECT_MS for device in self._devices.values() if not device.connections
        ]
        presence, currently_active = self.state(now_ms)
        if presence == ONLINE:
            deadlines.append(self._active_ms + (ACTIVE_MS if currently_active else IDLE_MS))
        return min(deadlines, default=None)

    def _be_active(self, now_ms: int, wall_ms: int) -> None:
        self._active_ms = now_ms
        self.last_active_ms = wall_ms

    def _add(self, device_id: str, wish: str, now_ms: int) -> _Device:
        if len(self._devices) >= DEVICES_MAX:
            # One without a connection goes first, else the one that came first.
            idle = (known for known, device in self._devices.items() if not device.connections)
            del self._devices[next(idle, next(iter(self._devices)))]
        device = self._devices[device_id] = _Device(wish, now_ms)
        return device
