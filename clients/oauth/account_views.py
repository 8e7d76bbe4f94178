"""What the account page shows, as HTML, and the actions by which clients link to its parts.

Spec: https://spec.matrix.org/v1.19/client-server-api/#account-management-url-actions
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from types import MappingProxyType
from urllib.parse import urlencode

from clients.oauth.paths import ACCOUNT
from homeserver.core.oauth.client_metadata import ClientMetadata
from storage.tables.devices import DeviceRow

__all__ = [
    "ACTIONS", "CANONICAL", "CROSS_SIGNING_RESET", "DEACTIVATE", "DEVICES_LIST", "DEVICE_DELETE",
    "DEVICE_VIEW", "PASSWORD", "PROFILE", "TITLES", "device_view", "devices_view", "frame", "page_path",
]  # fmt: skip

PROFILE = "org.matrix.profile"
DEVICES_LIST = "org.matrix.devices_list"
DEVICE_VIEW = "org.matrix.device_view"
DEVICE_DELETE = "org.matrix.device_delete"
CROSS_SIGNING_RESET = "org.matrix.cross_signing_reset"
DEACTIVATE = "org.matrix.account_deactivate"

ACTIONS: Mapping[str, str] = MappingProxyType({
    DEVICES_LIST: "Your devices",
    DEVICE_VIEW: "A device of yours",
    DEVICE_DELETE: "Sign a device out?",
    PROFILE: "Your profile",
    CROSS_SIGNING_RESET: "Reset your identity?",
    DEACTIVATE: "Deactivate your account",
})
"""The actions that clients can link to, with the titles of their pages."""

PASSWORD = "password"  # noqa: S105 - the name of a page

TITLES: Mapping[str, str] = MappingProxyType({**ACTIONS, PASSWORD: "Change your password"})
"""The titles of all pages, also of those that the specification has no action for."""

# COMPAT: their names before v1.18 of the specification.
CANONICAL: Mapping[str, str] = MappingProxyType({
    "profile": PROFILE,
    "sessions_list": DEVICES_LIST,
    "session_view": DEVICE_VIEW,
    "session_end": DEVICE_DELETE,
    "org.matrix.sessions_list": DEVICES_LIST,
    "org.matrix.session_view": DEVICE_VIEW,
    "org.matrix.session_end": DEVICE_DELETE,
})

_IN_MENU = (DEVICES_LIST, PROFILE, PASSWORD, DEACTIVATE)


def page_path(action: str, device_id: str | None = None) -> str:
    """Where a page is."""
    query = {"action": action} if device_id is None else {"action": action, "device_id": device_id}
    return f"{ACCOUNT}?{urlencode(query)}"


def _link(action: str, text: str, device_id: str | None = None) -> str:
    return f'<a href="{escape(page_path(action, device_id))}">{escape(text)}</a>'


def _day(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1_000, UTC).strftime("%Y-%m-%d")


def _named(device: DeviceRow) -> str:
    return device.display_name or device.device_id


def devices_view(devices: Sequence[DeviceRow], clients: Mapping[str, ClientMetadata]) -> str:
    """The list of devices, the newest first."""
    newest_first = sorted(devices, key=lambda device: -device.created_ms)
    items = "".join(
        f"<li>{_link(DEVICE_VIEW, _named(device), device.device_id)}"
        f' <span class="faint">{_origin(clients.get(device.device_id))}'
        f"since {_day(device.created_ms)}</span></li>"
        for device in newest_first
    )
    return f"<ul>{items}</ul>" if items else "<p>No device is signed in.</p>"


def device_view(device: DeviceRow, client: ClientMetadata | None) -> str:
    """What is known of one device."""
    return (
        f"<p><strong>{escape(_named(device))}</strong> (<code>{escape(device.device_id)}</code>),"
        f" {_origin(client)}signed in since {_day(device.created_ms)}.</p>"
        "<p>Messages that only this device can decrypt cannot be read any more once it is signed out.</p>"
    )


def _origin(client: ClientMetadata | None) -> str:
    return "" if client is None else f"from {escape(client.host)}, "


def frame(user_id: str, action: str, sign_out: str) -> str:
    """What every part of the account page ends with: the way to the others."""
    links = "".join(f"<li>{_link(one, TITLES[one])}</li>" for one in _IN_MENU if one != action)
    return (
        f'<nav class="after" aria-label="Account"><p class="faint">{escape(user_id)}</p>'
        f"<ul>{links}</ul></nav>{sign_out}"
    )
