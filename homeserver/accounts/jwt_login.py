"""Logging in with a token (JWT) that another service, which users are logged in to already, has issued.

The login type is `org.matrix.login.jwt`, as clients and services know it from other homeservers.
"""

from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from homeserver.accounts.registration import NewAccount, Registration
from homeserver.accounts.text import storable
from homeserver.core.errors import Forbidden, InvalidUsername, UserInUse
from homeserver.runtime.clock import Clock

__all__ = ["JWT", "JwtLogins", "JwtRules"]

JWT = "org.matrix.login.jwt"

_TOKEN_CHARACTERS_MAX = 8_192
_DISPLAY_NAME_CHARACTERS_MAX = 256
_KINDS: dict[str, Any] = {"HS": OctKey, "RS": RSAKey, "PS": RSAKey, "ES": ECKey, "Ed": OKPKey}


@dataclass(frozen=True, slots=True)
class JwtRules:
    """Which tokens are good.

    Attributes:
        secret_or_key: secret, or public key in PEM.
        algorithm: of the signature; no other is accepted, whatever a token says.
        issuer: that `iss` must be; empty: any.
        audiences: one of which `aud` must hold; empty: any.
        subject_claim: holds the user name.
        display_name_claim: names new users; empty: none does.
        creates_accounts: whether the first login makes the account.
        leeway_ms: that clocks may differ by.
    """

    secret_or_key: str
    algorithm: str
    issuer: str
    audiences: tuple[str, ...]
    subject_claim: str
    display_name_claim: str
    creates_accounts: bool
    leeway_ms: int


class JwtLogins:
    """Tells whose a token is.

    Args:
        rules: which are good.
        registration: makes accounts.
        clock: ends tokens.

    Raises:
        ValueError: the key is none for the algorithm.
    """

    def __init__(self, *, rules: JwtRules, registration: Registration, clock: Clock) -> None:
        self._rules = rules
        self._registration = registration
        self._clock = clock
        try:
            self._key = _KINDS[rules.algorithm[:2]].import_key(rules.secret_or_key)
        except (JoseError, ValueError, TypeError) as error:
            raise ValueError(f"jwt.secret_or_key is no key for {rules.algorithm}.") from error

    async def user_with(self, token: str) -> str:
        """Tell the user ID of whoever the token was issued to; their account is made if need be.

        Raises:
            Forbidden: the token is not good, or there is no such account and none is made.
        """
        claims = self._claims(token)
        name = claims.get(self._rules.subject_claim)
        if not isinstance(name, str):
            raise Forbidden("The token names no user.")
        try:
            user_id = self._registration.user_id_for(name)
            await self._registration.check_available(name)
        except InvalidUsername:
            raise Forbidden("The token names a user who cannot have an account here.") from None
        except UserInUse:
            return user_id
        if not self._rules.creates_accounts:
            raise Forbidden("There is no account of this name here.")
        try:
            return await self._registration.create(
                NewAccount(name, None, display_name=self._display_name(claims))
            )
        except UserInUse:  # another login of theirs was faster
            return user_id

    def _claims(self, token: str) -> dict[str, Any]:
        rules = self._rules
        if len(token) > _TOKEN_CHARACTERS_MAX:
            raise Forbidden("The token is too long.")
        wanted: dict[str, Any] = {}
        if rules.issuer:
            wanted["iss"] = {"essential": True, "value": rules.issuer}
        if rules.audiences:
            wanted["aud"] = {"essential": True, "values": list(rules.audiences)}
        registry = jwt.JWTClaimsRegistry(
            now=self._clock.now_ms() // 1000, leeway=rules.leeway_ms // 1000, **wanted
        )
        try:
            claims = jwt.decode(token, self._key, algorithms=[rules.algorithm]).claims
            registry.validate(claims)
        except (JoseError, ValueError, TypeError, AttributeError):
            # Why is not told: it would help whoever forges tokens more than anybody else.
            raise Forbidden("The token is not good (any more).") from None
        return claims

    def _display_name(self, claims: dict[str, Any]) -> str | None:
        name = claims.get(self._rules.display_name_claim) if self._rules.display_name_claim else None
        if not isinstance(name, str) or not storable(name):
            return None
        return name[:_DISPLAY_NAME_CHARACTERS_MAX]
