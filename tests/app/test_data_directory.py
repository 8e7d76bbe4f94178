import stat

import pytest

from homeserver.app.data_directory import REGISTRATION_SECRET, DataDirectory
from homeserver.core.server_keys import VerifyKey
from homeserver.runtime.randomness import SystemRandomness


@pytest.fixture
def directory(tmp_path):
    return DataDirectory(tmp_path / "new" / "data", SystemRandomness())


def test_the_signing_key_is_made_once(directory):
    first = directory.signing_key()

    assert directory.signing_key().key_id == first.key_id
    assert directory.signing_key().sign(b"x") == first.sign(b"x")


def test_only_the_owner_can_read_keys(directory):
    directory.signing_key()
    directory.registration_secret()

    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.path.iterdir()}
    assert modes == {"signing.key": 0o600, REGISTRATION_SECRET: 0o600}


def test_a_crash_while_a_key_is_written_does_no_harm(directory):
    (directory.path / "signing.draft").write_text("half of a k")

    assert directory.signing_key().key_id.startswith("ed25519:a_")


def test_a_file_that_is_no_key_is_not_replaced(directory):
    (directory.path / "signing.key").write_text("precious")

    with pytest.raises(ValueError, match="signing key"):
        directory.signing_key()

    assert (directory.path / "signing.key").read_text() == "precious"


def test_a_new_key_signs_from_the_next_start_on(directory):
    first = directory.signing_key()
    following = directory.prepare_rotation()

    assert directory.prepare_rotation().key_id == following.key_id
    assert directory.signing_key().key_id == first.key_id

    assert directory.rotate(1_000)
    own = directory.own_keys("a.example")
    assert own.signing_key.key_id == following.key_id
    assert own.old_keys == {first.key_id: VerifyKey(first.public_key, 1_000, is_old=True)}
    assert not directory.rotate(2_000)


def test_a_rotation_that_was_interrupted_is_made_up_for(directory):
    first = directory.signing_key()
    following = directory.prepare_rotation()
    (directory.path / "old-signing-keys").write_text(f"{first.key_id} {first.public_key_base64} 500\n")

    assert directory.own_keys("a.example").old_keys == {}

    directory.rotate(1_000)
    own = directory.own_keys("a.example")
    assert own.signing_key.key_id == following.key_id
    assert own.old_keys == {first.key_id: VerifyKey(first.public_key, 1_000, is_old=True)}


def test_every_key_that_signed_is_known_for_ever(directory):
    keys = [directory.signing_key()]
    for now_ms in (1_000, 2_000, 3_000):
        keys.append(directory.prepare_rotation())
        directory.rotate(now_ms)

    assert list(directory.own_keys("a.example").old_keys) == [key.key_id for key in keys[:-1]]


@pytest.mark.parametrize("text", ["ed25519:a AAAA", "ed25519:a AAAA soon", "nonsense", "ed25519:a *** 5"])
def test_old_keys_that_cannot_be_read_are_told(directory, text):
    directory.signing_key()
    (directory.path / "old-signing-keys").write_text(text + "\n")

    with pytest.raises(ValueError, match=r"old-signing-keys|base64"):
        directory.own_keys("a.example")
