"""PKCE: whoever exchanges a code is who asked for it. Only the method S256.

Spec: https://spec.matrix.org/v1.19/client-server-api/#authorisation-code-grant and RFC 7636
"""

import base64
import hashlib
import hmac
import re

__all__ = ["CHALLENGE_METHOD", "challenge_of", "is_challenge", "is_verified"]

CHALLENGE_METHOD = "S256"

_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_challenge(text: str) -> bool:
    """Whether the text can be the hash of a verifier: SHA-256 in URL-safe base64 without padding."""
    return _CHALLENGE.fullmatch(text) is not None


def challenge_of(verifier: str) -> str:
    """The challenge that belongs to a verifier."""
    digest = hashlib.sha256(verifier.encode("utf-8", "surrogatepass")).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def is_verified(challenge: str, verifier: str) -> bool:
    """Whether the verifier has the form that RFC 7636 demands and is the one that was hashed."""
    if _VERIFIER.fullmatch(verifier) is None:
        return False
    return hmac.compare_digest(challenge_of(verifier), challenge)
