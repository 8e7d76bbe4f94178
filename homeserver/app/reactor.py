"""Puts Twisted's asyncio reactor on uvloop, before anything can import another one."""

import asyncio
import os
import sys
from typing import Any

__all__ = ["install_reactor"]

NAMES_AT_ONCE_MAX = "32"


def install_reactor() -> Any:
    """Install the reactor of this process and return it; to be called before any other use of Twisted.

    Raises:
        RuntimeError: some module has installed another reactor already.
    """
    if "twisted.internet.reactor" in sys.modules:
        raise RuntimeError("A Twisted reactor is installed already; install_reactor must come first.")
    asyncio.set_event_loop(_new_event_loop())
    from twisted.internet import asyncioreactor  # noqa: PLC0415 - not before the loop exists

    asyncioreactor.install(asyncio.get_event_loop_policy().get_event_loop())
    from twisted.internet import reactor  # noqa: PLC0415 - this import is what installs a reactor

    return reactor


def _new_event_loop() -> asyncio.AbstractEventLoop:
    # Names are looked up in uvloop's threads, four of them unless it is told otherwise when they start: so
    # many servers whose names do not answer would keep all others waiting.
    os.environ.setdefault("UV_THREADPOOL_SIZE", NAMES_AT_ONCE_MAX)
    try:
        import uvloop  # noqa: PLC0415 - absent where it has no wheel
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop
