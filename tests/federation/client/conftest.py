import asyncio
import ssl

import pytest

from federation.client.connecting import Connecting, Route
from federation.client.tls import public_context
from federation.client.transport import Transport
from federation.places import Place
from homeserver.runtime.outgoing_http import AddressRules
from tests.factory.certificates import CertificateAuthority


class TlsServer:
    """Listens on the loopback, and does with each connection what the test says."""

    def __init__(self, context):
        self._context = context
        self.connections = 0
        self.open = set()
        self.heads = []
        self.peers = []
        self.talk = self.answer_all
        self.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

    async def start(self, host="127.0.0.1"):
        self._server = await asyncio.start_server(self._accept, host, 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _accept(self, reader, writer):
        self.connections += 1
        self.open.add(writer)
        self.peers.append(writer.get_extra_info("peercert"))
        try:
            await self.talk(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.transport.abort()

    async def read_request(self, reader):
        head = await reader.readuntil(b"\r\n\r\n")
        lengths = [line for line in head.split(b"\r\n") if line.startswith(b"Content-Length")]
        length = int(lengths[0].split(b":")[1]) if lengths else 0
        self.heads.append(head.decode())
        return head, await reader.readexactly(length)

    async def answer_all(self, reader, writer):
        while True:
            await self.read_request(reader)
            writer.write(self.answer)
            await writer.drain()

    async def close(self):
        self._server.close()
        for writer in tuple(self.open):
            writer.transport.abort()
        # The tasks of connections see their end.
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def authority(tmp_path):
    return CertificateAuthority(tmp_path)


def server_context(files):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context


@pytest.fixture
async def server(authority):
    server = TlsServer(server_context(authority.issue("server", "there.example", "127.0.0.1")))
    await server.start()
    yield server
    await server.close()


@pytest.fixture
def context(authority):
    return public_context(str(authority.file))


@pytest.fixture
async def transport():
    transport = Transport(Connecting(AddressRules(("127.0.0.0/8",))), connections_per_route_max=2)
    yield transport
    await transport.close()
    await asyncio.sleep(0)


@pytest.fixture
def route(server, context):
    return Route(Place("there.example", "there.example", (("127.0.0.1", server.port),)), context)
