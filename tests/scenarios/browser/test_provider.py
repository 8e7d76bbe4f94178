"""Signing in by a provider, and confirming an operation there: through three sites, as a browser goes."""

import asyncio
import threading

import pytest

from clients.load.fresh_server import free_port
from tests.doubles.openid_provider import CLIENT_ID, CLIENT_SECRET, HttpProvider
from tests.scenarios.conftest import Server

pytestmark = [pytest.mark.scenario, pytest.mark.timeout(360)]

CONFIGURATION = """
[outgoing]
allowed_ranges = ["127.0.0.0/8"]

[sign_in]
trusted_redirects = ["http://127.0.0.1:{client_port}/trusted"]

[[sign_in.providers]]
id = "company"
name = "Company login"
issuer = "{issuer}"
client_id = "{client_id}"
client_secret = "{client_secret}"
asks_for_user_name = true
"""


@pytest.fixture(scope="module")
def issuer():
    """A provider in a thread of its own: the test waits for the browser meanwhile."""
    loop, started = asyncio.new_event_loop(), threading.Event()
    issuers, stop = [], asyncio.Event()

    async def serve():
        async with HttpProvider() as provider:
            issuers.append(provider.issuer)
            started.set()
            await stop.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert started.wait(20)
    yield issuers[0]
    loop.call_soon_threadsafe(stop.set)
    thread.join()
    loop.close()


@pytest.fixture(scope="module")
def client_port():
    return free_port()


@pytest.fixture(scope="module")
def server_of_module(issuer, client_port, tmp_path_factory):
    """Knows the provider."""
    directory = tmp_path_factory.mktemp("provider")
    for each in (directory, directory.parent):
        each.chmod(0o755)  # the embedded PostgreSQL may run as another user
    server = Server(directory)
    with (directory / "isthmus.toml").open("a") as file:
        file.write(
            CONFIGURATION.format(
                issuer=issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, client_port=client_port
            )
        )
    server.start()
    yield server
    server.stop()


def test_somebody_signs_in_by_a_provider_and_confirms_an_operation_there(
    in_chromium, issuer, client_port, monkeypatch
):
    monkeypatch.setenv("PROVIDER", issuer.removesuffix("/realms/company"))
    monkeypatch.setenv("CLIENT_PORT", str(client_port))

    seen = in_chromium("provider")

    assert (seen["proposed"], seen["user"]) == ("erika", "@erika.m:localhost")
    assert seen["flows"] == [{"stages": ["m.login.sso"]}]
    assert seen["done"] == {}
    assert seen["trusted"] == "@petra:localhost"
    assert seen["violations"] == []
    assert len(seen["complaints"]) == 1  # of the answer that was refused
    assert "status of 403" in seen["complaints"][0]
