"""The devices of the people, all driven alike whatever program they are."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from tests.scenarios.same_view.client_process import ClientProcess

_HERE = Path(__file__).parent
_ANSWER_S = 110
"""matrix-js-sdk tries four times in thirty seconds to share a key; the server may be away that long."""
PASSWORD = "correct horse battery staple"


def _camel(name):
    first, *rest = name.split("_")
    return first + "".join(map(str.capitalize, rest))


@dataclass(eq=False)
class Device:
    """One device of a user.

    Attributes:
        name: as the story calls it.
        user: the localpart.
        kind: `js` or `nio`.
        user_id: as the server calls the user, once logged in.
        device_id: as the server calls the device, once logged in.
    """

    name: str
    user: str
    kind: str
    process: ClientProcess
    user_id: str = ""
    device_id: str = ""

    async def log_in(self, base_url, **more):
        """Log in, and sync from now on."""
        secret = {} if "token" in more else {"password": PASSWORD}
        session = {"base_url": base_url, "user": self.user, **secret, **more}
        name = "action" if self.kind == "js" else "session"
        told = await self.process.ask("start", self.name, **{name: session})
        self.user_id, self.device_id = told["user_id"], told["device_id"]

    async def do(self, verb, **what):
        """Have it do something; see the programs."""
        if self.kind == "js":
            return await self.process.ask(_camel(verb), self.name, action=what)
        return await self.process.ask("act", self.name, action={"verb": verb, **what})


class Programs:
    """The two programs, each of which is all devices of its kind."""

    def __init__(self, by_kind):
        self._by_kind = by_kind

    def device(self, name, user, kind):
        """A device that is not logged in yet."""
        return Device(name, user, kind, self._by_kind[kind])


@contextlib.asynccontextmanager
async def programs(interop_python, directory):
    """Start the programs; they end with the context."""
    commands = {
        "js": (["node", "encrypted.mjs"], _HERE.parent / "js"),
        "nio": ([interop_python, str(_HERE / "nio_program.py")], None),
    }
    async with contextlib.AsyncExitStack() as stack:
        made = {}
        for kind, (command, cwd) in commands.items():
            made[kind] = await ClientProcess.open(kind, command, directory / f"{kind}.log", cwd, _ANSWER_S)
            stack.push_async_callback(made[kind].close)
        yield Programs(made)
