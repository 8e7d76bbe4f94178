"""Runs a server in this process until it is asked to stop."""

import asyncio
import signal
from collections.abc import Callable

from homeserver.app.reactor import install_reactor
from homeserver.config.model import Configuration

__all__ = ["run_server"]


def run_server(
    configuration: Configuration,
    *,
    say_ready: Callable[[], None],
    say_failed: Callable[[str], None],
    register_command: str,
) -> int:
    """Run until SIGINT or SIGTERM; returns the exit status.

    Args:
        configuration: of the server.
        say_ready: called once every listener accepts requests.
        say_failed: called with a sentence where the server cannot start.
        register_command: what the landing page says to type to make a user.
    """
    reactor = install_reactor()
    # Everything else of Twisted comes with it, and so must wait for the reactor.
    from homeserver.app.life import Life  # noqa: PLC0415 - after the reactor

    loop = asyncio.get_event_loop_policy().get_event_loop()
    life = Life(configuration, reactor, register_command=register_command)
    task = loop.create_task(life.live(say_ready, say_failed), name="life")
    task.add_done_callback(lambda _: reactor.stop())
    # Not the reactor's own handlers: they would stop it before the work is done.
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, life.stop, signal.Signals(number).name)
    reactor.run(installSignalHandlers=False)
    return task.result()
