"""What accounts need of others: implemented above or beside, joined in `homeserver.app.build`."""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from storage.tables.device_lists import Noted

__all__ = [
    "AnnounceDeviceLists", "Departures", "Erasures", "HomeRegions", "OutgoingRequests", "ProfilePropagation",
    "RemoteProfiles", "SingleSignOn",
]  # fmt: skip

AnnounceDeviceLists = Callable[[Sequence[Noted]], Coroutine[Any, Any, None]]
"""Tells those who share rooms with users that the devices of these changed, as was noted and committed."""


class RemoteProfiles(Protocol):
    """Asks other servers for profiles."""

    def profile(self, server: str, user_id: str) -> Coroutine[Any, Any, Mapping[str, Any]]:
        """The profile of a user, unchecked.

        Raises:
            RemoteRefused: the server does not tell it, or there is no such user.
            Unavailable: the server does not answer.
        """


class Departures(Protocol):
    """Takes users out of rooms."""

    def leave_all(self, user_id: str) -> Coroutine[Any, Any, None]:
        """Take a user out of every room.

        Raises:
            Unavailable: it could not be stored just now; what was left is left.
        """


class Erasures(Protocol):
    """Knows whose messages nobody sees who was not there."""

    def add(self, user_id: str, erased_ms: int) -> Coroutine[Any, Any, None]:
        """Erase a user; there is no way back."""


class OutgoingRequests(Protocol):
    """Asks other web servers; never those of private networks, unless the operator allows it."""

    def get(self, url: str, headers: Mapping[str, str]) -> Coroutine[Any, Any, tuple[int, bytes]]:
        """Send a GET; returns the status and the body of the answer.

        Raises:
            Unavailable: there was no answer in time, it was too long, or the address may not be reached.
        """

    def post(
        self, url: str, body: bytes, headers: Mapping[str, str]
    ) -> Coroutine[Any, Any, tuple[int, bytes]]:
        """Send a POST; returns the status and the body of the answer.

        Raises:
            Unavailable: there was no answer in time, it was too long, or the address may not be reached.
        """


class HomeRegions(Protocol):
    """Logs users in at another of the organisation's servers, whose they are."""

    def home_of(self, user: str) -> str | None:
        """The server that a user is of, if it is another one of the organisation's own."""

    def log_in(self, region: str, login: Mapping[str, Any]) -> Coroutine[Any, Any, dict[str, Any]]:
        """Log a user in there; returns what the client is told, with where it finds that server.

        Raises:
            RemoteRefused: the region does not let them in.
            Unavailable: it does not answer.
        """


class ProfilePropagation(Protocol):
    """Makes a changed profile known where it is shown."""

    def profile_changed(self, user_id: str) -> Coroutine[Any, Any, None]:
        """Bring the display name and avatar of the user's member events up to date in all joined rooms.

        The profile is committed already; rooms in which it cannot be done are left as they are.
        """


class SingleSignOn(Protocol):
    """Lets a user show in a browser, by another way than a password, who they are.

    Where that is done it calls `InteractiveAuthentication.pass_stage` with `m.login.sso` and the user ID.
    """

    def is_open_to(self, user_id: str) -> Coroutine[Any, Any, bool]:
        """Whether this user can sign in so."""

    def confirmation_url(self, user_id: str, session_id: str) -> Coroutine[Any, Any, str]:
        """Where to send the browser of a user who is to confirm the operation of a session."""
