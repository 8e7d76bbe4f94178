"""The Ed25519 key that signs access tokens: a file of its own, made at the first start."""

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

__all__ = ["load_or_create_token_key"]


def load_or_create_token_key(path: Path) -> Ed25519PrivateKey:
    """Read the key, or make one that only the owner of the file may read.

    Whoever has it can make access tokens for every session; losing it only means that all must log in again.

    Raises:
        ValueError: the file holds no Ed25519 key in PEM.
    """
    try:
        pem = path.read_bytes()
    except FileNotFoundError:
        return _create(path)
    key = load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise ValueError(  # noqa: TRY004 - the file's content is wrong, not an argument's type
            f"{path} holds a private key, but not an Ed25519 key."
        )
    return key


def _create(path: Path) -> Ed25519PrivateKey:
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    # Written whole under another name first, so that a crash leaves no half of a key.
    draft = path.with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
    draft.rename(path)
    return key
