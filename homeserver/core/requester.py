"""Who asks: the identity behind an authenticated request."""

from dataclasses import dataclass

__all__ = ["Requester"]


@dataclass(frozen=True, slots=True)
class Requester:
    """An authenticated user on one device.

    Attributes:
        user_id: full Matrix user ID, e.g. ``@alice:localhost``.
        device_id: the device whose access token was used.
        session_id: the device session the token is bound to; changes at each login.
        is_admin: may use the admin API.
    """

    user_id: str
    device_id: str
    session_id: int
    is_admin: bool = False
