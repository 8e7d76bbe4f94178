"""The source of chance that everything takes as a collaborator, so that tests can repeat it."""

import secrets
from typing import Protocol

__all__ = ["Randomness", "SystemRandomness"]


class Randomness(Protocol):
    """Unguessable strings and bytes."""

    def token_bytes(self, length_bytes: int) -> bytes:
        """`length_bytes` random bytes."""

    def token_urlsafe(self, entropy_bytes: int) -> str:
        """Text of the URL-safe base64 alphabet with `entropy_bytes` bytes of entropy."""

    def letters(self, length: int, alphabet: str) -> str:
        """`length` characters drawn evenly from `alphabet`."""


class SystemRandomness:
    """The operating system's randomness."""

    def token_bytes(self, length_bytes: int) -> bytes:
        """`length_bytes` random bytes."""
        return secrets.token_bytes(length_bytes)

    def token_urlsafe(self, entropy_bytes: int) -> str:
        """Text of the URL-safe base64 alphabet with `entropy_bytes` bytes of entropy."""
        return secrets.token_urlsafe(entropy_bytes)

    def letters(self, length: int, alphabet: str) -> str:
        """`length` characters drawn evenly from `alphabet`."""
        return "".join(secrets.choice(alphabet) for _ in range(length))
