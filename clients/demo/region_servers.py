"""Three servers of one organisation on this machine: own authority, mutual TLS, three databases."""

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

from clients.load.fresh_server import free_port

__all__ = ["RegionServer", "make_regions", "start_all"]

_READY_SECONDS_MAX = 60
_STOP_SECONDS_MAX = 30

_CONFIGURATION = """\
server_name = "{name}"
data_directory = "{directory}/data"

[registration]
mode = "open"

[metrics]
port = 0

[logging]
level = "warning"

[outgoing]
allowed_ranges = ["127.0.0.0/8"]

[[listeners]]
address = "127.0.0.1"
port = {port}

[[listeners]]
address = "127.0.0.1"
port = {federation_port}
apis = ["federation"]
tls_certificate = "{directory}/region.crt"
tls_key = "{directory}/region.key"
tls_client_ca = "{authority}/region-ca.crt"
"""

_PEER = """
[[regions]]
name = "{name}"
addresses = ["127.0.0.1:{federation_port}"]
ca_file = "{authority}/region-ca.crt"
certificate = "{directory}/region.crt"
certificate_key = "{directory}/region.key"
"""


@dataclass
class RegionServer:
    """One of the servers.

    Attributes:
        name: its server name.
        directory: all that is its own.
        port: for clients.
        federation_port: for the other regions.
        process: while it runs.
    """

    name: str
    directory: Path
    port: int = field(default_factory=free_port)
    federation_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def base_url(self) -> str:
        """Where its clients reach it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it says."""
        return self.directory / "server.log"

    @property
    def configuration(self) -> Path:
        """Its configuration."""
        return self.directory / "isthmus.toml"

    def begin(self) -> None:
        """Start it, without waiting."""
        with self.log.open("ab") as output:
            arguments = ("run", "--config", str(self.configuration))
            self.process = subprocess.Popen(_homeserver(*arguments), stdout=output, stderr=output)  # noqa: S603 - our own program

    def wait(self) -> None:
        """Until it is ready.

        Raises:
            RuntimeError: it does not become so.
        """
        give_up_s = time.monotonic() + _READY_SECONDS_MAX
        while time.monotonic() < give_up_s:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.base_url}/ready", timeout=1).close()  # noqa: S310 - our own loopback URL
            except (OSError, urllib.error.URLError):
                time.sleep(0.02)
            else:
                return
        raise RuntimeError(f"{self.name} did not become ready; its log says:\n{self.log.read_text()[-2000:]}")

    def kill(self) -> None:
        """End it as a crash would."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(_STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            self.kill()

    def status(self) -> str:
        """What `homeserver region status` says there."""
        arguments = ("region", "status", "--config", str(self.configuration))
        told = subprocess.run(_homeserver(*arguments), capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        return told.stdout + told.stderr


def _homeserver(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "homeserver.app.cli", *arguments]


def make_regions(directory: Path, *names: str) -> list[RegionServer]:
    """Make the authority, and of each region its certificate and its configuration.

    Raises:
        subprocess.CalledProcessError: `homeserver region` failed; it has said why.
    """
    authority = directory / "authority"
    subprocess.run(_homeserver("region", "init-ca", str(authority)), check=True)  # noqa: S603 - our own program
    regions = [RegionServer(name, directory / name) for name in names]
    for one in regions:
        issue = ("region", "issue", one.name, str(one.directory), "--authority", str(authority))
        subprocess.run(_homeserver(*issue), check=True)  # noqa: S603 - our own program
        one.directory.chmod(0o755)  # the embedded PostgreSQL may run as another user
    for one in regions:
        places = {"name": one.name, "directory": one.directory, "authority": authority}
        own = _CONFIGURATION.format(**places, port=one.port, federation_port=one.federation_port)
        peers = [
            _PEER.format(**{**places, "name": other.name}, federation_port=other.federation_port)
            for other in regions
            if other is not one
        ]
        one.configuration.write_text(own + "".join(peers))
    return regions


def start_all(regions: list[RegionServer]) -> None:
    """Start them at once, and wait until all are ready.

    Raises:
        RuntimeError: one does not become ready.
    """
    for one in regions:
        one.begin()
    for one in regions:
        one.wait()
