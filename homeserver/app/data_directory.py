"""What a server keeps in its data directory beside PostgreSQL: its keys and the secret of this machine."""

import os
from pathlib import Path

from homeserver.core.signing import SigningKey
from homeserver.runtime.randomness import Randomness

__all__ = ["REGISTRATION_SECRET", "DataDirectory"]

REGISTRATION_SECRET = "registration-secret"  # noqa: S105 - the name of the file, not what is in it
"""A file that only the owner can read: who can read it may make users with `homeserver register-user`."""

_VERSION_ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_SECRET_ENTROPY_BYTES = 32


class DataDirectory:
    """A directory that outlives the process.

    Args:
        path: made at the first start.
        randomness: for new keys.
    """

    def __init__(self, path: Path, randomness: Randomness) -> None:
        self.path = path.resolve()
        self._randomness = randomness
        self.path.mkdir(parents=True, exist_ok=True)

    def signing_key(self) -> SigningKey:
        """Read the key that signs events, or make it.

        Raises:
            ValueError: the file holds no signing key.
        """
        version = "a_" + self._randomness.letters(4, _VERSION_ALPHABET)
        new = SigningKey.generate(self._randomness.token_bytes(32), version)
        return SigningKey.parse(self._kept("signing.key", new.serialize()))

    def registration_secret(self) -> str:
        """Read the secret by which this machine's operator makes users, or make it."""
        return self._kept(REGISTRATION_SECRET, self._randomness.token_urlsafe(_SECRET_ENTROPY_BYTES))

    def _kept(self, name: str, new: str) -> str:
        """What the file `name` says; `new` from now on if there is none."""
        path = self.path / name
        try:
            return path.read_text("utf-8").strip()
        except FileNotFoundError:
            pass
        # Written whole under another name first, so that a crash leaves no half of a key.
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(new + "\n")
            file.flush()
            os.fsync(file.fileno())
        draft.rename(path)
        return new
