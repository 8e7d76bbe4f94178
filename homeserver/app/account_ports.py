"""What the services of rooms ask of those of accounts, handed to them together."""

from dataclasses import dataclass

from homeserver.accounts.profile import Profiles
from homeserver.rooms.ports import IgnoredUsersReader, InvitePermissionReader, PersonalSettings

__all__ = ["AccountPorts"]


@dataclass(frozen=True, slots=True)
class AccountPorts:
    """See `homeserver.rooms.ports`."""

    profiles: Profiles
    ignored_users: IgnoredUsersReader
    invite_permissions: InvitePermissionReader
    personal_settings: PersonalSettings
