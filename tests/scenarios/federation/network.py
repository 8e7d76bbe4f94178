"""The network between servers on loopback: a relay before each, and any server can be cut off."""

import asyncio
import contextlib

import psutil

_CHUNK = 65_536


class Network:
    """Relays connections to servers that are started with `is_behind_proxy`.

    Args:
        servers: all of them.
    """

    def __init__(self, servers):
        self._servers = servers
        self._cut_off = set()
        self._relayed = {}
        self._listening = []

    async def __aenter__(self):
        for server in self._servers:
            listening = await asyncio.start_server(
                lambda reader, writer, server=server: self._relay(server, reader, writer),
                "127.0.0.1",
                server.public_port,
            )
            self._listening.append(listening)
        return self

    async def __aexit__(self, *_):
        for one in self._listening:
            one.close()
        for task in list(self._relayed):
            task.cancel()
        await asyncio.gather(*self._relayed, return_exceptions=True)

    async def cut_off(self, server):
        """End all connections to and from a server, and let none begin."""
        self._cut_off.add(server)
        cut = [task for task, ends in self._relayed.items() if server in ends]
        for task in cut:
            task.cancel()
        await asyncio.gather(*cut, return_exceptions=True)

    def heal(self):
        """Let all reach all again."""
        self._cut_off.clear()

    def _whose(self, port):
        """The server whose process has a port open; None: a client of the test."""
        for server in self._servers:
            with contextlib.suppress(psutil.Error):
                connections = psutil.Process(server.process.pid).net_connections("tcp")
                if any(one.laddr.port == port for one in connections):
                    return server
        return None

    async def _relay(self, server, reader, writer):
        task = asyncio.current_task()
        self._relayed[task] = (server,)
        try:
            origin = await asyncio.to_thread(self._whose, writer.get_extra_info("peername")[1])
            self._relayed[task] = (origin, server)
            if not {origin, server} & self._cut_off:
                await self._carry(server, reader, writer)
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            writer.transport.abort()
            del self._relayed[task]

    @staticmethod
    async def _carry(server, reader, writer):
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", server.federation_port)
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(_pump(reader, onward_writer))
                both.create_task(_pump(onward_reader, writer))
        except* OSError:
            pass
        finally:
            onward_writer.transport.abort()


async def _pump(reader, writer):
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()
    else:
        writer.close()
