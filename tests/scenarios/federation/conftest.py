"""Several servers at once, on loopback, with certificates of the test's own authority."""

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

import aiohttp
import pytest

from tests.factory.certificates import CertificateAuthority
from tests.scenarios.federation.people import Person
from tests.scenarios.federation.servers import start_all

LEVEL = os.environ.get("FEDERATION_LOG_LEVEL", "warning")


@contextlib.contextmanager
def running(*kinds, more="", level=LEVEL, is_behind_proxy=False):
    """Servers of these classes, started together; FEDERATION_KEEP=1 leaves their directories for a look."""
    directory = Path(tempfile.mkdtemp(prefix="isthmus-federation-"))
    directory.chmod(0o755)
    authority = CertificateAuthority(directory)
    servers = [
        kind(
            directory / f"{place}-{kind.__name__.lower()}", authority, level, more,
            is_behind_proxy=is_behind_proxy,
        )
        for place, kind in enumerate(kinds)
    ]  # fmt: skip
    try:
        start_all(servers)
        yield servers
    finally:
        with contextlib.ExitStack() as stack:
            for one in servers:
                stack.callback(one.stop)
        if os.environ.get("FEDERATION_KEEP") != "1":
            shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
async def http():
    """For all clients of a test."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield session


@pytest.fixture
def come(http):
    """Makes a user on a server."""

    async def make(server, name):
        return await Person.come(http, server, name)

    return make
