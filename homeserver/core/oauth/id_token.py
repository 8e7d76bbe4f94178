"""What an ID token of an OpenID Connect provider has to say, once its signature is known to be good.

Spec: OpenID Connect Core 1.0, sections 3.1.3.6 to 3.1.3.8
"""

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["ALGORITHMS", "Expected", "IdTokenError", "check_access_token", "check_claims"]

ALGORITHMS = (
    "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512",
)  # fmt: skip
"""Signatures that only the provider can make: not `none`, and none by a secret that is shared."""

_SUBJECT_CHARACTERS_MAX = 255
_HASHES = {"256": "sha256", "384": "sha384", "512": "sha512"}


class IdTokenError(Exception):
    """The token does not show what it should; the message is for the operator, and holds no secret."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token has to be.

    Attributes:
        issuer: `iss`, to the letter.
        client_id: one of `aud`, and `azp` if there is one.
        nonce: as it was sent with the browser.
        now_s: the time, in seconds since 1970.
        leeway_s: by how much clocks may differ.
        begun_s: when the browser was sent there, if people were to sign in anew; else None.
    """

    issuer: str
    client_id: str
    nonce: str
    now_s: int
    leeway_s: int
    begun_s: int | None = None


def check_claims(claims: Mapping[str, Any], expected: Expected) -> str:
    """Check what a token claims; returns the subject.

    Raises:
        IdTokenError: it was made by or for somebody else, or for another sign-in, or is not valid now.
    """
    if claims.get("iss") != expected.issuer:
        raise IdTokenError("iss is not the configured issuer")
    _check_audience(claims, expected.client_id)
    _check_times(claims, expected)
    nonce = claims.get("nonce")
    if not isinstance(nonce, str) or not hmac.compare_digest(
        nonce.encode("utf-8", "surrogatepass"), expected.nonce.encode()
    ):
        raise IdTokenError("nonce is not that of this sign-in")
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 1 <= len(subject) <= _SUBJECT_CHARACTERS_MAX:
        raise IdTokenError(f"sub must be a text of 1 to {_SUBJECT_CHARACTERS_MAX} characters")
    if not subject.isprintable():
        raise IdTokenError("sub holds characters that cannot be printed")
    return subject


def check_access_token(claims: Mapping[str, Any], algorithm: str, access_token: str) -> None:
    """Check that an access token came with the ID token, if that says so by `at_hash`.

    Raises:
        IdTokenError: it says that another one did.
    """
    if "at_hash" not in claims:
        return
    digest = hashlib.new(_HASHES[algorithm[-3:]], access_token.encode("utf-8", "surrogatepass")).digest()
    half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")
    given = claims["at_hash"]
    if not isinstance(given, str) or not hmac.compare_digest(
        given.encode("utf-8", "surrogatepass"), half.encode()
    ):
        raise IdTokenError("at_hash is not that of the access token")


def _check_audience(claims: Mapping[str, Any], client_id: str) -> None:
    audience = claims.get("aud")
    audiences = [audience] if isinstance(audience, str) else audience
    if not isinstance(audiences, list) or client_id not in audiences:
        raise IdTokenError("aud does not name this server's client_id")
    party = claims.get("azp")
    if party is None and len(audiences) > 1:
        raise IdTokenError("aud names several, and there is no azp")
    if party is not None and party != client_id:
        raise IdTokenError("azp is not this server's client_id")


def _check_times(claims: Mapping[str, Any], expected: Expected) -> None:
    now_s, leeway_s = expected.now_s, expected.leeway_s
    if _seconds(claims, "exp") <= now_s - leeway_s:
        raise IdTokenError("exp is over")
    if _seconds(claims, "iat") > now_s + leeway_s:
        raise IdTokenError("iat is in the future")
    if "nbf" in claims and _seconds(claims, "nbf") > now_s + leeway_s:
        raise IdTokenError("nbf is in the future")
    begun_s = expected.begun_s
    if begun_s is not None and "auth_time" in claims and _seconds(claims, "auth_time") < begun_s - leeway_s:
        raise IdTokenError("auth_time is from before: nobody has signed in anew")


def _seconds(claims: Mapping[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 2**53:
        raise IdTokenError(f"{name} must be a time in seconds")
    return value
