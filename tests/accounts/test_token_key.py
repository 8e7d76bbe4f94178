import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from homeserver.accounts.token_key import load_or_create_token_key


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path):
    path = tmp_path / "access_tokens.key"
    made = load_or_create_token_key(path)
    read = load_or_create_token_key(path)

    assert made.private_bytes_raw() == read.private_bytes_raw()
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_another_kind_of_key_is_refused(tmp_path):
    path = tmp_path / "access_tokens.key"
    path.write_bytes(
        X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    with pytest.raises(ValueError, match="Ed25519"):
        load_or_create_token_key(path)
