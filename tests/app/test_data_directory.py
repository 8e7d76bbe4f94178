import stat

import pytest

from homeserver.app.data_directory import REGISTRATION_SECRET, DataDirectory
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
