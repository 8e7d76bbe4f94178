import pytest
from typer.testing import CliRunner

from homeserver.app.cli import app
from homeserver.app.commands.register_user import mac_of
from homeserver.app.version import VERSION


@pytest.fixture
def call():
    return lambda *arguments: CliRunner().invoke(app, arguments)


def test_the_version_is_told(call):
    assert call("version").output == f"Isthmus {VERSION}\n"


def test_the_defaults_are_a_file_to_begin_with(call, tmp_path):
    file = tmp_path / "isthmus.toml"
    file.write_text(call("config", "defaults").output)

    assert call("config", "check", "--config", str(file)).exit_code == 0


def test_every_mistake_is_told_at_once(call, tmp_path):
    file = tmp_path / "isthmus.toml"
    file.write_text('server_nam = "x"\n[limits]\nbody_bytes_max = "many"\n[logging]\nlevel = "loud"\n')
    answer = call("config", "check", "--config", str(file))

    assert answer.exit_code == 2
    for words in ("3 mistakes", "server_nam:", "limits.body_bytes_max: found 'many'", "logging.level"):
        assert words in answer.output


def test_a_dump_shows_no_secrets(call, monkeypatch):
    monkeypatch.setenv("ISTHMUS_REGISTRATION__SHARED_SECRET", "sesame")

    assert "sesame" not in call("config", "dump").output


def test_a_server_that_is_not_there_is_told(call, tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_DATA_DIRECTORY", str(tmp_path))
    answer = call("register-user", "alice", "--password", "x")

    assert answer.exit_code == 1
    assert "Start the server first" in answer.output


@pytest.mark.parametrize(
    ("is_admin", "mac"),
    [
        (False, "ee801c5d148ae1bcbd99ddb68ecbfa1cbb98c541"),
        (True, "038b37d5639e432cc2e7fb5c25d14e416c33602d"),
    ],
)
def test_the_proof_is_that_of_the_admin_api(is_admin, mac):
    assert mac_of("s3cret", "abc123", "alice", "wonderland", is_admin=is_admin) == mac


def test_a_signing_key_is_made_for_the_next_start(call, tmp_path, monkeypatch):
    monkeypatch.setenv("ISTHMUS_DATA_DIRECTORY", str(tmp_path))
    answer = call("rotate-signing-key")

    assert answer.exit_code == 0
    key_id = answer.output.split()[4]
    assert key_id.removeprefix("ed25519:") in (tmp_path / "signing.key.next").read_text()
