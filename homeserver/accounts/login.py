"""Login: a user shows who they are and gets a session on a device.

Spec: https://spec.matrix.org/v1.19/client-server-api/#login
"""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from homeserver.accounts.access_tokens import AccessTokens, IssuedTokens
from homeserver.accounts.addresses import MSISDN, canonical_address, canonical_phone
from homeserver.accounts.passwords import Passwords
from homeserver.accounts.text import DEVICE_ID_CHARACTERS_MAX, DEVICE_NAME_CHARACTERS_MAX, check_text
from homeserver.accounts.uia import Stage
from homeserver.core.errors import (
    Forbidden,
    LimitExceeded,
    MissingParam,
    UnknownError,
    UserDeactivated,
    UserLocked,
)
from homeserver.core.identifiers import parse_user_id
from homeserver.runtime.clock import Clock
from homeserver.runtime.randomness import Randomness
from homeserver.runtime.token_bucket import TokenBucket
from storage.pool import Database
from storage.tables import account_states, accounts, threepids

__all__ = ["PASSWORD", "FailedLogins", "Logins", "user_named_in"]

PASSWORD = "m.login.password"  # noqa: S105 - the name of a login type and of a stage

_DEVICE_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WRONG = "The user name or the password is wrong."


def user_named_in(identifier: Mapping[str, Any] | None, user: str | None) -> str:
    """Tell which user ID or localpart a login names.

    Args:
        identifier: the `identifier` property.
        user: the `user` property, which clients used before there was the other.

    Raises:
        MissingParam: neither names anybody.
        UnknownError: an identifier of another type than `m.id.user`.
    """
    if identifier is not None:
        kind = identifier.get("type")
        if kind != "m.id.user":
            raise UnknownError("Users are identified by m.id.user, m.id.thirdparty or m.id.phone.")
        user = identifier.get("user")
    if not isinstance(user, str):
        raise MissingParam("Give an identifier of type m.id.user with the property user.")
    return user


class Logins:
    """Checks passwords and opens sessions.

    Args:
        failures: slows down those who guess; None: with its defaults.
    """

    def __init__(
        self,
        *,
        database: Database,
        passwords: Passwords,
        access_tokens: AccessTokens,
        clock: Clock,
        randomness: Randomness,
        server_name: str,
        failures: "FailedLogins | None" = None,
    ) -> None:
        self._database = database
        self._passwords = passwords
        self._access_tokens = access_tokens
        self._clock = clock
        self._randomness = randomness
        self._server_name = server_name
        self._failures = FailedLogins(clock) if failures is None else failures

    async def user_with_password(self, user: str, password: str) -> str:
        """Tell the user ID of the account, if the password is right.

        Args:
            user: a user ID or a localpart.
            password: as it was typed.

        Raises:
            Forbidden: the password is wrong or there is no such account, which is not told apart.
            LimitExceeded: too many wrong passwords for this account lately.
        """
        user_id = self._local_user_id(user)
        if user_id is None:
            raise Forbidden(_WRONG)
        return await self._checked(user_id, user_id, password)

    async def user_with_address(self, medium: str, address: str, password: str) -> str:
        """Tell the user ID of the account with an e-mail address or phone number, if the password is right.

        Args:
            medium: `email` or `msisdn`.
            address: in its canonical form.
            password: as it was typed.

        Raises:
            Forbidden: the password is wrong or there is no such account, which is not told apart.
            LimitExceeded: too many wrong passwords for this account or address lately.
        """
        user_id = await threepids.user_of(self._database, medium, address)
        return await self._checked(user_id, user_id or f"{medium} {address}", password)

    async def user_identified(
        self, identifier: Mapping[str, Any] | None, user: str | None, password: str
    ) -> str:
        """Tell who logs in, however they name themselves, if the password is right.

        Args:
            identifier: the `identifier` property.
            user: the `user` property, which clients used before there was the other.
            password: as it was typed.

        Raises:
            Forbidden: the password is wrong or there is no such account, which is not told apart.
            InvalidParam: what is given is no address or number.
            LimitExceeded: too many wrong passwords for this account or address lately.
            MissingParam: nobody is named.
            UnknownError: an identifier of a type that there is not.
        """
        kind = None if identifier is None else identifier.get("type")
        if identifier is None or kind not in {"m.id.thirdparty", "m.id.phone"}:
            return await self.user_with_password(user_named_in(identifier, user), password)
        names = ("medium", "address") if kind == "m.id.thirdparty" else ("country", "phone")
        given = [identifier.get(name) for name in names]
        if kind == "m.id.phone" and given[1] is None:
            given[1] = identifier.get("number")  # COMPAT: as it was called at first
        first, second = given
        if not isinstance(first, str) or not isinstance(second, str):
            raise MissingParam(f"Give an identifier of type {kind} with {names[0]} and {names[1]}.")
        if kind == "m.id.phone":
            return await self.user_with_address(MSISDN, canonical_phone(first, second), password)
        return await self.user_with_address(first, canonical_address(first, second), password)

    async def _checked(self, user_id: str | None, bucket: str, password: str) -> str:
        self._failures.check(bucket)
        account = None if user_id is None else await accounts.find(self._database, user_id)
        password_hash = None if account is None else account.password_hash
        is_correct = await self._passwords.is_correct(password_hash, password)
        if user_id is None or password_hash is None or not is_correct:
            self._failures.count(bucket)
            raise Forbidden(_WRONG)
        if self._passwords.is_outdated(password_hash):
            await accounts.set_password_hash(self._database, user_id, await self._passwords.hash(password))
        return user_id

    def password_stage(self, user_id: str) -> Stage:
        """Make the stage of user-interactive authentication in which a user gives their password again."""

        async def check(auth: Mapping[str, Any]) -> str:
            password, user = auth.get("password"), auth.get("user")
            if not isinstance(password, str):
                raise MissingParam("Give the password.")
            identifier = auth.get("identifier")
            named = await self.user_identified(
                identifier if isinstance(identifier, Mapping) else None,
                user if isinstance(user, str) else None,
                password,
            )
            if named != user_id:
                raise Forbidden("This is the password of somebody else.")
            return user_id

        return check

    async def open_session(
        self,
        user_id: str,
        *,
        device_id: str | None,
        display_name: str | None,
        with_refresh_token: bool,
    ) -> IssuedTokens:
        """Log a user in on a device, new or known.

        Raises:
            InvalidParam: the device ID or name is too long or cannot be stored.
            UserDeactivated: the account is.
            UserLocked: the account is.
        """
        state = await account_states.find(self._database, user_id)
        if state is None or state.is_deactivated:
            raise UserDeactivated("This account has been deactivated.")
        if state.is_locked:
            raise UserLocked("This account has been locked.", soft_logout=True)
        if device_id is None:
            device_id = self._randomness.letters(10, _DEVICE_LETTERS)
        self.check_device(device_id, display_name)
        return await self._access_tokens.issue(
            user_id, device_id, display_name=display_name, with_refresh_token=with_refresh_token
        )

    def check_device(self, device_id: str | None, display_name: str | None) -> None:
        """Refuse what cannot be a device's ID or name, before an account is made for it.

        Raises:
            InvalidParam: it is too long or cannot be stored.
        """
        if device_id is not None:
            check_text(
                device_id, "The device ID", characters_min=1, characters_max=DEVICE_ID_CHARACTERS_MAX
            )
        if display_name is not None:
            check_text(
                display_name, "The device's display name", characters_max=DEVICE_NAME_CHARACTERS_MAX
            )

    def _local_user_id(self, user: str) -> str | None:
        # People type their names with capitals; accounts never have any.
        text = user.lower() if user.startswith("@") else f"@{user.lower()}:{self._server_name}"
        try:
            parsed = parse_user_id(text)
        except ValueError:
            return None
        return text if parsed.server_name == self._server_name.lower() else None


class FailedLogins:
    """Slows down those who guess at the password of one account, from wherever they guess.

    Args:
        clock: tells the time.
        per_second: how fast wrong passwords may come in the long run.
        burst: how many may come at once.
        accounts_max: how many accounts are watched; the longest quiet is forgotten first.
    """

    def __init__(
        self, clock: Clock, *, per_second: float = 0.17, burst: int = 10, accounts_max: int = 10_000
    ) -> None:
        self._clock = clock
        self._per_second = per_second
        self._burst = burst
        self._accounts_max = accounts_max
        self._buckets: OrderedDict[str, TokenBucket] = OrderedDict()

    def check(self, user_id: str) -> None:
        """Refuse to look at a password.

        Raises:
            LimitExceeded: too many were wrong lately.
        """
        bucket = self._buckets.get(user_id)
        if bucket is None:
            return
        now_ms = self._clock.monotonic_ms()
        if bucket.is_full(now_ms):
            del self._buckets[user_id]
        elif retry_after_ms := bucket.take(now_ms):
            raise LimitExceeded("Too many wrong passwords; try again later.", retry_after_ms=retry_after_ms)
        else:
            # Only wrong passwords cost something: give back what the look took.
            bucket.take(now_ms, -1.0)

    def count(self, user_id: str) -> None:
        """Note a wrong password."""
        now_ms = self._clock.monotonic_ms()
        bucket = self._buckets.get(user_id)
        if bucket is None:
            while len(self._buckets) >= self._accounts_max:
                self._buckets.popitem(last=False)
            bucket = self._buckets[user_id] = TokenBucket(self._per_second, self._burst, now_ms)
        self._buckets.move_to_end(user_id)
        bucket.take(now_ms)
