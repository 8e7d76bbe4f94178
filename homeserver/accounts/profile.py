"""Profiles: display name, avatar and any further fields of a user.

Spec: https://spec.matrix.org/v1.19/client-server-api/#profiles
"""

import asyncio
from dataclasses import replace
from typing import Any

import orjson

from homeserver.accounts.ports import ProfilePropagation
from homeserver.accounts.registration import DISPLAY_NAME_CHARACTERS_MAX
from homeserver.accounts.remote_profiles import KnownRemoteProfiles
from homeserver.accounts.text import check_text
from homeserver.core.errors import BadJson, InvalidParam, KeyTooLarge, NotFound, ProfileTooLarge
from homeserver.core.identifiers import is_namespaced_identifier
from homeserver.runtime.tasks import Tasks
from storage.pool import Database
from storage.tables import profiles
from storage.tables.profiles import ProfileRow

__all__ = ["KEY_BYTES_MAX", "PROFILE_BYTES_MAX", "ProfileChanges", "Profiles"]

KEY_BYTES_MAX = 255
PROFILE_BYTES_MAX = 65_535
"""The specification says *under* 64 KiB."""
_AVATAR_URL_CHARACTERS_MAX = 1_000
_SHOWN_IN_ROOMS = frozenset({"displayname", "avatar_url"})


def _as_object(row: ProfileRow) -> dict[str, Any]:
    profile: dict[str, Any] = {}
    if row.displayname is not None:
        profile["displayname"] = row.displayname
    if row.avatar_url is not None:
        profile["avatar_url"] = row.avatar_url
    profile.update(orjson.loads(row.custom_fields))
    return profile


class Profiles:
    """Reads the profiles of this server's users; and for clients those of others.

    Args:
        database: where they are.
        server_name: ours.
        elsewhere: asks other servers; None: this one speaks with no other.
    """

    def __init__(
        self, *, database: Database, server_name: str, elsewhere: KnownRemoteProfiles | None = None
    ) -> None:
        self._database = database
        self._elsewhere = elsewhere
        self._server_name = server_name

    async def profile_of(self, user_id: str) -> dict[str, Any]:
        """Every field that is set; empty for users that are not ours or do not exist."""
        row = await self._find(user_id)
        return {} if row is None else _as_object(row)

    async def get(self, user_id: str) -> dict[str, Any]:
        """Every field that is set.

        Raises:
            NotFound: there is no such user here.
        """
        row = await self._find(user_id)
        if row is None:
            raise NotFound("There is no such user on this server.")
        return _as_object(row)

    async def show(self, user_id: str) -> dict[str, Any]:
        """Every field that is set, of whichever server's user.

        Raises:
            Forbidden: the user's server does not tell.
            NotFound: there is no such user.
            Unavailable: the user's server does not answer.
        """
        if self._elsewhere is None or user_id.partition(":")[2] == self._server_name:
            return await self.get(user_id)
        return await self._elsewhere.get(user_id)

    async def _find(self, user_id: str) -> ProfileRow | None:
        if user_id.partition(":")[2] != self._server_name or "\0" in user_id:
            return None
        return await profiles.find(self._database, user_id)


class ProfileChanges:
    """Sets and removes fields of profiles, and has them shown in rooms.

    Args:
        tasks: in which propagation goes on if the client does not wait for it; None: in the request.
    """

    def __init__(
        self, *, database: Database, propagation: ProfilePropagation, tasks: Tasks | None = None
    ) -> None:
        self._database = database
        self._propagation = propagation
        self._tasks = tasks

    async def set_field(self, user_id: str, key: str, value: Any) -> None:
        """Set one field.

        Raises:
            BadJson: the value holds integers that nobody can store.
            InvalidParam: no key of a profile, or not a value that the key may have.
            KeyTooLarge: the key is over 255 bytes.
            NotFound: there is no such user here.
            ProfileTooLarge: the profile would reach 64 KiB.
        """
        _check_key(key)
        if key in _SHOWN_IN_ROOMS and (value is None or value == ""):
            # COMPAT: before DELETE came with v1.16, clients cleared these two by setting them to nothing.
            await self.delete_field(user_id, key)
            return
        _check_value(key, value)
        _check_encodable(key, value)
        await self._change(user_id, key, value, is_deleted=False)

    async def delete_field(self, user_id: str, key: str) -> None:
        """Remove one field; one that is not set is no matter.

        Raises:
            InvalidParam: no key of a profile.
            KeyTooLarge: the key is over 255 bytes.
            NotFound: there is no such user here.
        """
        _check_key(key)
        await self._change(user_id, key, None, is_deleted=True)

    async def _change(self, user_id: str, key: str, value: Any, *, is_deleted: bool) -> None:
        async with self._database.transaction() as transaction:
            old = await profiles.find_for_update(transaction, user_id)
            if old is None:
                raise NotFound("There is no such user on this server.")
            new = _changed(old, key, value, is_deleted=is_deleted)
            if not is_deleted and len(orjson.dumps(_as_object(new))) > PROFILE_BYTES_MAX:
                raise ProfileTooLarge("A profile must stay under 64 KiB.")
            if new != old:
                await profiles.update(transaction, user_id, new)
        if new != old and key in _SHOWN_IN_ROOMS:
            await self._propagate(user_id)

    async def _propagate(self, user_id: str) -> None:
        propagation = self._propagation.profile_changed(user_id)
        if self._tasks is None:
            await propagation
            return
        # The profile is committed: a client that goes away must not leave half of its rooms with the old one.
        await asyncio.shield(self._tasks.start(propagation, "profile propagation"))


def _changed(row: ProfileRow, key: str, value: Any, *, is_deleted: bool) -> ProfileRow:
    if key == "displayname":
        return replace(row, displayname=value)
    if key == "avatar_url":
        return replace(row, avatar_url=value)
    fields = orjson.loads(row.custom_fields)
    if is_deleted:
        fields.pop(key, None)
    else:
        fields[key] = value
    return replace(row, custom_fields=orjson.dumps(fields))


def _check_key(key: str) -> None:
    if len(key.encode("utf-8", "surrogatepass")) > KEY_BYTES_MAX:
        raise KeyTooLarge(f"A profile field's name has at most {KEY_BYTES_MAX} bytes.")
    if key not in _SHOWN_IN_ROOMS and not ("." in key and is_namespaced_identifier(key)):
        raise InvalidParam(
            "A profile field is displayname, avatar_url, m.tz or a name of your own like org.example.field."
        )


def _check_value(key: str, value: Any) -> None:
    if key not in _SHOWN_IN_ROOMS and key != "m.tz":
        return
    if not isinstance(value, str):
        raise InvalidParam(f"The profile field {key} must be a string.")
    if key == "avatar_url":
        check_text(value, "The avatar URL", characters_max=_AVATAR_URL_CHARACTERS_MAX)
        if not value.startswith("mxc://"):
            raise InvalidParam("The avatar URL must be an mxc:// URI.")
    else:
        check_text(value, f"The profile field {key}", characters_max=DISPLAY_NAME_CHARACTERS_MAX)


def _check_encodable(key: str, value: Any) -> None:
    try:
        orjson.dumps(value)
    except TypeError:
        # Integers of more than 64 bits are all that JSON can say and orjson cannot.
        raise BadJson(f"The value of {key} holds an integer of more than 64 bits.") from None
