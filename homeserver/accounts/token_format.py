"""The form of access and refresh tokens: values in, text out, and back.

An access token is a JWT signed with EdDSA. It names a device session and a generation of that session;
whether these still stand is the database's knowledge, not the token's. A refresh token is nothing but random.
"""

import hashlib
from dataclasses import dataclass

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.types import Options

from homeserver.runtime.randomness import Randomness

__all__ = ["TOKEN_CHARACTERS_MAX", "Claims", "TokenFormat", "create_refresh_token", "hash_of"]

TOKEN_CHARACTERS_MAX = 1_024
"""No token of ours is nearly as long; longer ones are not looked at."""

_ALGORITHM = "EdDSA"
# Time is checked by whoever has the clock, and told apart from a false signature.
_OPTIONS: Options = {"verify_exp": False, "verify_iat": False, "verify_nbf": False}


@dataclass(frozen=True, slots=True)
class Claims:
    """What an access token says.

    Attributes:
        session_id: the device session.
        generation: of the tokens of that session.
        expires_ms: wall time after which it is no longer good; None if it has no end.
    """

    session_id: int
    generation: int
    expires_ms: int | None


class TokenFormat:
    """Signs and reads access tokens.

    Args:
        key: signs; its public half verifies.
        server_name: put into the tokens, so that one of another server with the same key is not accepted.
    """

    def __init__(self, key: Ed25519PrivateKey, server_name: str) -> None:
        self._key = key
        self._public_key = key.public_key()
        self._server_name = server_name

    def sign(self, claims: Claims) -> str:
        """The token that says `claims`."""
        payload: dict[str, str | int] = {
            "iss": self._server_name,
            "sid": claims.session_id,
            "gen": claims.generation,
        }
        if claims.expires_ms is not None:
            payload["exp_ms"] = claims.expires_ms
            # For whatever reads JWTs in general; rounded up, since it knows no milliseconds.
            payload["exp"] = -(-claims.expires_ms // 1_000)
        return jwt.encode(payload, self._key, algorithm=_ALGORITHM)

    def read(self, token: str) -> Claims | None:
        """What the token says; None if it is not one that we signed."""
        if len(token) > TOKEN_CHARACTERS_MAX:
            return None
        try:
            payload = jwt.decode(
                token,
                self._public_key,
                algorithms=[_ALGORITHM],
                issuer=self._server_name,
                options=_OPTIONS,
            )
        except (jwt.InvalidTokenError, ValueError):
            return None
        session_id, generation, expires_ms = payload.get("sid"), payload.get("gen"), payload.get("exp_ms")
        if not isinstance(session_id, int) or not isinstance(generation, int):
            return None
        return Claims(session_id, generation, expires_ms if isinstance(expires_ms, int) else None)


def create_refresh_token(randomness: Randomness) -> str:
    """A new refresh token."""
    return "isr_" + randomness.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """What stands for a token in caches and tables, so that a look at them gives nobody access."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
