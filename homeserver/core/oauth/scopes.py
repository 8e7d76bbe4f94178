"""Scopes: what a client asks for, and on which device.

Spec: https://spec.matrix.org/v1.19/client-server-api/#scope
"""

import re
from dataclasses import dataclass

from homeserver.core.oauth.errors import OAuthError

__all__ = ["DEVICE_ID_CHARACTERS_MAX", "Scope", "parse_scope"]

DEVICE_ID_CHARACTERS_MAX = 255
_SCOPE_CHARACTERS_MAX = 2_000
_API = "urn:matrix:client:api:*"
_DEVICE = "urn:matrix:client:device:"
# COMPAT: clients written before v1.15 of the specification use the names of MSC2967.
_UNSTABLE = "urn:matrix:org.matrix.msc2967.client:"
_TOKEN = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")


@dataclass(frozen=True, slots=True)
class Scope:
    """What is granted.

    Attributes:
        device_id: the one device that the tokens belong to.
        text: the scope tokens that are granted, in the names that the client used.
    """

    device_id: str
    text: str


def parse_scope(text: str) -> Scope:
    """Read what a client asks for; tokens that mean nothing here are left out of what is granted.

    Raises:
        OAuthError: `invalid_scope`: no access to the API, not exactly one device, or no scope at all.
    """
    if len(text) > _SCOPE_CHARACTERS_MAX:
        raise OAuthError("invalid_scope", "The scope is too long.")
    tokens = [token for token in text.split(" ") if token]
    if not all(_TOKEN.fullmatch(token) for token in tokens):
        raise OAuthError("invalid_scope", "The scope holds characters that RFC 6749 does not allow.")
    # The same token twice is asked for once.
    known = {token: stable for token in tokens if (stable := _stable(token)) is not None}
    device_ids = {stable.removeprefix(_DEVICE) for stable in known.values() if stable.startswith(_DEVICE)}
    if _API not in known.values():
        raise OAuthError("invalid_scope", f"Ask for the scope {_API} as well.")
    if len(device_ids) != 1:
        raise OAuthError("invalid_scope", f"Ask for exactly one scope {_DEVICE}<device ID>.")
    device_id = device_ids.pop()
    if not 0 < len(device_id) <= DEVICE_ID_CHARACTERS_MAX:
        raise OAuthError(
            "invalid_scope", f"The device ID must have 1 to {DEVICE_ID_CHARACTERS_MAX} characters."
        )
    return Scope(device_id, " ".join(known))


def _stable(token: str) -> str | None:
    """The token by its name in the specification, if it means something here."""
    if token.startswith(_UNSTABLE):
        token = "urn:matrix:client:" + token.removeprefix(_UNSTABLE)
    return token if token == _API or token.startswith(_DEVICE) else None
