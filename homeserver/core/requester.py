"""Who asks: the identity behind an authenticated request."""

from dataclasses import dataclass

__all__ = ["Admission", "Requester"]


@dataclass(frozen=True, slots=True)
class Requester:
    """An authenticated user on one device.

    Attributes:
        user_id: full Matrix user ID, e.g. ``@alice:localhost``.
        device_id: the device whose access token was used.
        session_id: the device session the token is bound to; changes at each login.
        is_admin: may use the admin API.
        is_guest: has no account of their own and may do little.
        is_suspended: may read and leave, and not send, join or invite.
    """

    user_id: str
    device_id: str
    session_id: int
    is_admin: bool = False
    is_guest: bool = False
    is_suspended: bool = False


@dataclass(slots=True)
class Admission:
    """What an access token that was looked at stands for.

    Attributes:
        requester: whose it is.
        expires_ms: wall time at which it ends; infinite if it does not.
        is_good: false once the session has ended, or must be looked at again for another reason.
    """

    requester: Requester
    expires_ms: float
    is_good: bool = True
