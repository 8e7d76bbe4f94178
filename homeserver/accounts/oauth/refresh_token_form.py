"""The form of OAuth 2.0 refresh tokens: signed, so that a replayed one says which session it belongs to.

A token that was replaced is not stored anywhere. By its signature it is still known as one of ours, with its
session and generation; so a replay is told from a guess without a list of all tokens that ever were.
"""

from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.types import Options

from homeserver.accounts.token_format import TOKEN_CHARACTERS_MAX
from homeserver.runtime.randomness import Randomness

__all__ = ["PREFIX", "RefreshClaims", "RefreshTokenForm"]

PREFIX = "ior_"
"""By which people and programs that look for leaked secrets know one."""

_ALGORITHM = "EdDSA"
_PURPOSE = "oauth refresh"
_OPTIONS: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False, "verify_aud": False}


@dataclass(frozen=True, slots=True)
class RefreshClaims:
    """What a refresh token says.

    Attributes:
        session_id: the device session.
        generation: of the tokens of that session.
    """

    session_id: int
    generation: int


class RefreshTokenForm:
    """Signs and reads refresh tokens.

    Args:
        key: the one that signs access tokens; the claims of the two have no name in common but the issuer.
        server_name: put into the tokens.
        randomness: makes each token different.
    """

    def __init__(self, *, key: Ed25519PrivateKey, server_name: str, randomness: Randomness) -> None:
        self._key = key
        self._public_key = key.public_key()
        self._server_name = server_name
        self._randomness = randomness

    def create(self, claims: RefreshClaims) -> str:
        """A new token."""
        payload = {
            "iss": self._server_name,
            "use": _PURPOSE,
            "rsid": claims.session_id,
            "rgen": claims.generation,
            "jti": self._randomness.token_urlsafe(18),
        }
        return PREFIX + jwt.encode(payload, self._key, algorithm=_ALGORITHM)

    def read(self, token: str) -> RefreshClaims | None:
        """What the token says; None if it is not one that we signed."""
        if not token.startswith(PREFIX) or len(token) > TOKEN_CHARACTERS_MAX:
            return None
        try:
            payload = jwt.decode(
                token.removeprefix(PREFIX), self._public_key, algorithms=[_ALGORITHM],
                issuer=self._server_name, options=_OPTIONS,
            )  # fmt: skip
        except (jwt.InvalidTokenError, ValueError):
            return None
        session_id, generation = payload.get("rsid"), payload.get("rgen")
        if payload.get("use") != _PURPOSE:
            return None
        if not isinstance(session_id, int) or not isinstance(generation, int):
            return None
        return RefreshClaims(session_id, generation)
