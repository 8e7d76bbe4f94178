"""What other servers tell of the devices of their users: what of it is taken, and in which form.

Less is asked of their keys than of those of our own users: clients check the signatures. What is taken must
be of the right user and device, and have an end.

Spec: https://spec.matrix.org/v1.19/server-server-api/#device-management
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeGuard

from homeserver.core.canonical_json import encode_lenient
from homeserver.core.errors import MatrixError
from homeserver.core.identifiers import parse_user_id
from homeserver.core.public_keys import MASTER, SELF_SIGNING, check_name, cross_signing_key

__all__ = [
    "DEVICES_PER_USER_MAX", "STREAM_ID_MAX", "Device", "DeviceListUpdate", "DeviceSnapshot", "signing_keys",
    "snapshot", "update", "user_of",
]  # fmt: skip

DEVICES_PER_USER_MAX = 1_000
KEYS_BYTES_MAX = 65_536
DISPLAY_NAME_CHARACTERS_MAX = 255
PREVIOUS_MAX = 100
STREAM_ID_MAX = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Device:
    """A device of a user of another server.

    Attributes:
        device_id: its ID.
        display_name: what the user calls it.
        keys: JSON object; None: it has no keys.
    """

    device_id: str
    display_name: str | None
    keys: bytes | None


@dataclass(frozen=True, slots=True)
class DeviceListUpdate:
    """One device of a user has changed.

    Attributes:
        user_id: whose it is.
        stream_id: of this update.
        previous: stream IDs of the updates that it follows.
        device: as it is now.
        is_deleted: it is gone.
    """

    user_id: str
    stream_id: int
    previous: tuple[int, ...]
    device: Device
    is_deleted: bool


@dataclass(frozen=True, slots=True)
class DeviceSnapshot:
    """All devices of a user.

    Attributes:
        stream_id: of the last update that is in it.
        devices: by ID, no more than `DEVICES_PER_USER_MAX`.
        master_key: JSON object.
        self_signing_key: JSON object.
    """

    stream_id: int
    devices: tuple[Device, ...]
    master_key: bytes | None
    self_signing_key: bytes | None


def update(content: Mapping[str, Any], origin: str) -> DeviceListUpdate | None:
    """Read an update; None: it is none, or not of a user of that server.

    Args:
        content: of the EDU.
        origin: who sent it.
    """
    user_id = user_of(content, origin)
    stream_id, previous = content.get("stream_id"), content.get("prev_id", [])
    if user_id is None or not _is_stream_id(stream_id) or not isinstance(previous, list):
        return None
    if len(previous) > PREVIOUS_MAX or not all(_is_stream_id(each) for each in previous):
        return None
    device = _device(content, user_id)
    if device is None:
        return None
    is_deleted = content.get("deleted") is True
    return DeviceListUpdate(user_id, stream_id, tuple(previous), device, is_deleted)


def user_of(content: Mapping[str, Any], origin: str) -> str | None:
    """Tell of which user of a server an update is; None: of none."""
    user_id = content.get("user_id")
    try:
        return user_id if isinstance(user_id, str) and parse_user_id(user_id).server_name == origin else None
    except ValueError:
        return None


def signing_keys(content: Mapping[str, Any], user_id: str) -> tuple[bytes | None, bytes | None]:
    """Read a user's master key and self-signing key; None for what is not there, or is no such key."""
    return _signing_key(content, user_id, MASTER), _signing_key(content, user_id, SELF_SIGNING)


def snapshot(answer: Mapping[str, Any], user_id: str) -> DeviceSnapshot | None:
    """Read all devices of a user; None: that is no answer. What in it is no device is left out."""
    stream_id, told = answer.get("stream_id"), answer.get("devices")
    if answer.get("user_id") != user_id or not _is_stream_id(stream_id) or not isinstance(told, list):
        return None
    devices: dict[str, Device] = {}
    for each in told[:DEVICES_PER_USER_MAX]:
        device = _device(each, user_id) if isinstance(each, dict) else None
        if device is not None:
            devices[device.device_id] = device
    return DeviceSnapshot(stream_id, tuple(devices.values()), *signing_keys(answer, user_id))


def _device(told: Mapping[str, Any], user_id: str) -> Device | None:
    device_id, display_name, keys = (
        told.get("device_id"), told.get("device_display_name"), told.get("keys")
    )  # fmt: skip
    if not _is_name(device_id):
        return None
    encoded = None if keys is None else _keys(keys, user_id, device_id)
    if keys is not None and encoded is None:
        return None
    if isinstance(display_name, str):
        display_name = display_name[:DISPLAY_NAME_CHARACTERS_MAX]
    return Device(device_id, display_name if _is_name(display_name) else None, encoded)


def _keys(keys: object, user_id: str, device_id: str) -> bytes | None:
    """Encode identity keys; None: they are none of this device."""
    if not isinstance(keys, dict) or keys.get("user_id") != user_id or keys.get("device_id") != device_id:
        return None
    if not all(isinstance(keys.get(name, {}), dict) for name in ("keys", "signatures", "unsigned")):
        return None
    return _encoded(keys)


def _signing_key(content: Mapping[str, Any], user_id: str, usage: str) -> bytes | None:
    key = content.get(f"{usage}_key")
    try:
        return cross_signing_key(key, user_id, usage)[1] if isinstance(key, dict) else None
    except MatrixError:
        return None


def _encoded(value: Mapping[str, Any]) -> bytes | None:
    try:
        encoded = encode_lenient({name: each for name, each in value.items() if name != "unsigned"})
    except ValueError:
        return None
    return encoded if len(encoded) <= KEYS_BYTES_MAX else None


def _is_name(text: object) -> TypeGuard[str]:
    if not isinstance(text, str):
        return False
    try:
        check_name(text, "a device")
    except MatrixError:
        return False
    return True


def _is_stream_id(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= STREAM_ID_MAX
