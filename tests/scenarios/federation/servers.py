"""Servers of both kinds as processes: each has a name of its own and speaks TLS with the others."""

import base64
import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from clients.load.fresh_server import command, free_port

_ROOT = Path(__file__).parents[3]
_READY_S_MAX = 60
_STOP_S_MAX = 30
SYNAPSE_PYTHON = _ROOT / ".venv-synapse" / "bin" / "python"

_ISTHMUS = """\
server_name = "{name}"
data_directory = "{directory}/data"

[registration]
mode = "open"

[rate_limits]
enabled = false

[spam_limits]
enabled = false

[passwords]
memory_kib = 1024
time_cost = 1

[metrics]
port = 0

[logging]
level = "{level}"

[outgoing]
ca_file = "{ca_file}"
allowed_ranges = ["127.0.0.0/8", "::1/128"]

[[listeners]]
address = "127.0.0.1"
port = {port}

[[listeners]]
address = "127.0.0.1"
port = {federation_port}
apis = ["federation"]
tls_certificate = "{certificate}"
tls_key = "{key}"
{more}
"""

_SYNAPSE = """\
server_name: "{name}"
pid_file: "{directory}/pid"
listeners:
  - port: {port}
    type: http
    bind_addresses: ["127.0.0.1"]
    resources: [{{names: [client]}}]
  - port: {federation_port}
    type: http
    tls: true
    bind_addresses: ["127.0.0.1"]
    resources: [{{names: [federation]}}]
tls_certificate_path: "{certificate}"
tls_private_key_path: "{key}"
federation_custom_ca_list: ["{ca_file}"]
ip_range_blacklist: []
database: {{name: sqlite3, args: {{database: "{directory}/homeserver.db"}}}}
log_config: "{directory}/log.yaml"
media_store_path: "{directory}/media"
signing_key_path: "{directory}/signing.key"
trusted_key_servers: []
report_stats: false
enable_registration: true
enable_registration_without_verification: true
allow_public_rooms_over_federation: true
allow_public_rooms_without_auth: true
room_list_publication_rules: [{{action: allow}}]
federation: {{destination_min_retry_interval: 1s, destination_max_retry_interval: 5s, client_timeout: 20s}}
bcrypt_rounds: 4
rc_message: &much {{per_second: 10000, burst_count: 10000}}
rc_registration: *much
rc_login: {{address: *much, account: *much, failed_attempts: *much}}
rc_joins: {{local: *much, remote: *much}}
rc_joins_per_room: *much
rc_invites: {{per_room: *much, per_user: *much, per_issuer: *much}}
rc_room_creation: *much
rc_3pid_validation: *much
rc_presence: {{per_user: *much}}
rc_federation: {{window_size: 1000, sleep_limit: 10000, sleep_delay: 0, reject_limit: 10000, concurrent: 50}}
"""

_SYNAPSE_LOG = """\
version: 1
formatters: {{line: {{format: "%(asctime)s %(levelname)s %(name)s %(message)s"}}}}
handlers: {{file: {{class: logging.FileHandler, filename: "{directory}/server.log", formatter: line}}}}
root: {{level: {level}, handlers: [file]}}
disable_existing_loggers: false
"""


class Server:
    """A process with a name, a port for clients and one for servers.

    Args:
        directory: its own.
        authority: signs its certificate.
        level: of its log.
        more: TOML (or YAML, for Synapse) at the end of its configuration.
        is_behind_proxy: others reach it on another port than the one that it listens on.

    Attributes:
        name: the server name, with the port in it where others reach it.
        public_port: that port.
        federation_port: where it listens for other servers.
        base_url: where clients are served.
    """

    host = "localhost"

    def __init__(self, directory, authority, level="warning", more="", *, is_behind_proxy=False):
        self.directory = directory
        self.authority = authority
        self.port = free_port()
        self.federation_port = free_port()
        self.base_url = f"http://127.0.0.1:{self.port}"
        self.public_port = free_port() if is_behind_proxy else self.federation_port
        self.name = f"{self.host}:{self.public_port}"
        self.log = directory / "server.log"
        self.process = None
        self._level = level
        directory.mkdir()
        directory.chmod(0o755)  # the embedded PostgreSQL may run as another user
        self._certificate, self._key = authority.issue(f"server-{self.federation_port}", self.host)
        self.configure(more)

    def configure(self, more):
        """Write the configuration, which the next start reads."""
        raise NotImplementedError

    def _command(self):
        raise NotImplementedError

    def _values(self, more):
        return {
            "name": self.name, "directory": self.directory, "port": self.port, "level": self._level,
            "federation_port": self.federation_port, "ca_file": self.authority.file,
            "certificate": self._certificate, "key": self._key, "more": more,
        }  # fmt: skip

    def start(self):
        """Start and wait until it answers; returns the seconds that took."""
        started = time.monotonic()
        self.begin()
        return self.wait(started)

    def begin(self):
        """Start without waiting."""
        with (self.directory / "output.log").open("ab") as output:
            self.process = subprocess.Popen(self._command(), stdout=output, stderr=output, cwd=_ROOT)

    def wait(self, started):
        """Until it answers."""
        url = f"{self.base_url}/_matrix/client/versions"
        while time.monotonic() - started < _READY_S_MAX:
            assert self.process.poll() is None, self.told()
            try:
                urllib.request.urlopen(url, timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return time.monotonic() - started
        raise AssertionError(self.told())

    def told(self, characters=6000):
        """The end of its logs."""
        files = (self.directory / "output.log", self.log)
        return "\n".join(file.read_text()[-characters:] for file in files if file.exists())

    def kill(self):
        """End the server at once, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self):
        """Ask it to stop; returns the exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(_STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self.kill()
            raise


class Isthmus(Server):
    """One of ours."""

    def configure(self, more):
        (self.directory / "isthmus.toml").write_text(_ISTHMUS.format(**self._values(more)))

    def _command(self):
        return command(self.directory)

    def rotate_signing_key(self):
        """Make a new signing key, and start with that."""
        config = str(self.directory / "isthmus.toml")
        words = [sys.executable, "-m", "homeserver.app.cli", "rotate-signing-key", "--config", config]
        subprocess.run(words, check=True, capture_output=True, cwd=_ROOT)
        assert self.stop() == 0
        self.start()


class Synapse(Server):
    """One that we did not write."""

    def configure(self, more):
        values = self._values(more) | {"level": self._level.upper()}
        (self.directory / "log.yaml").write_text(_SYNAPSE_LOG.format(**values))
        seed = base64.b64encode(os.urandom(32)).decode().rstrip("=")
        (self.directory / "signing.key").write_text(f"ed25519 a_1 {seed}\n")
        (self.directory / "homeserver.yaml").write_text(_SYNAPSE.format(**values) + more)

    def _command(self):
        assert SYNAPSE_PYTHON.exists(), "Run `make interop`, which makes .venv-synapse."
        configuration = str(self.directory / "homeserver.yaml")
        return [str(SYNAPSE_PYTHON), "-m", "synapse.app.homeserver", "-c", configuration]

    def stop(self):
        """Ask it to stop, and end it if that takes too long: how it stops is not ours to test."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            super().stop()


def start_all(servers):
    """Start several at once and wait for all."""
    started = time.monotonic()
    for one in servers:
        one.begin()
    for one in servers:
        one.wait(started)
