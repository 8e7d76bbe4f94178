"""What a server keeps in its data directory beside PostgreSQL: its keys and the secret of this machine."""

import os
from contextlib import suppress
from pathlib import Path

from homeserver.core.server_keys import OwnKeys, VerifyKey
from homeserver.core.signing import SigningKey, decode_base64
from homeserver.runtime.randomness import Randomness

__all__ = ["REGISTRATION_SECRET", "DataDirectory"]

REGISTRATION_SECRET = "registration-secret"  # noqa: S105 - the name of the file, not what is in it
"""A file that only the owner can read: who can read it may make users with `homeserver register-user`."""

_SIGNING_KEY, _NEXT_KEY, _OLD_KEYS = "signing.key", "signing.key.next", "old-signing-keys"
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
        return SigningKey.parse(self._kept(_SIGNING_KEY, self._new_key()))

    def _new_key(self) -> str:
        version = "a_" + self._randomness.letters(4, _VERSION_ALPHABET)
        return SigningKey.generate(self._randomness.token_bytes(32), version).serialize()

    def prepare_rotation(self) -> SigningKey:
        """Make the key that the server will sign with from its next start on, or read it if it is made."""
        return SigningKey.parse(self._kept(_NEXT_KEY, self._new_key()))

    def rotate(self, now_ms: int) -> bool:
        """Sign with the key that was prepared, from now on; returns False if there is none.

        The present key is written down as an old one first: what it signed is to be verified for ever. If we
        are interrupted after that, it is the present key still, and written down once more the next time.

        Raises:
            ValueError: a file holds no signing key.
        """
        path = self.path / _NEXT_KEY
        if not path.exists():
            return False
        SigningKey.parse(path.read_text("utf-8"))
        key = self.signing_key()
        with (self.path / _OLD_KEYS).open("a", encoding="utf-8") as file:
            file.write(f"{key.key_id} {key.public_key_base64} {now_ms}\n")
            file.flush()
            os.fsync(file.fileno())
        path.rename(self.path / _SIGNING_KEY)
        return True

    def own_keys(self, server_name: str) -> OwnKeys:
        """Read the key that signs, and the public halves of those that did before.

        Raises:
            ValueError: a file does not hold what it should.
        """
        key = self.signing_key()
        old_keys = {}
        with suppress(FileNotFoundError):
            for line in (self.path / _OLD_KEYS).read_text("utf-8").splitlines():
                parts = line.split()
                if len(parts) != 3 or not parts[2].isdigit():
                    raise ValueError(f"{_OLD_KEYS} has lines of the form: KEY-ID PUBLIC-KEY EXPIRED-MS.")
                if parts[0] != key.key_id:
                    old_keys[parts[0]] = VerifyKey(decode_base64(parts[1]), int(parts[2]), is_old=True)
        return OwnKeys(server_name, key, old_keys)

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
