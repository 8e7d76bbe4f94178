"""One client program, and how it is told what to do; see programs/commands.py."""

import asyncio
import itertools
import json
import os
import shutil
import sys
from pathlib import Path

HERE = Path(__file__).parent
_ROOT = HERE.parents[2]
_ANSWER_S = 40


class ClientProcess:
    """A program that acts as clients of one kind, of several users."""

    def __init__(self, name, process, answer_s=_ANSWER_S):
        self.name = name
        self._answer_s = answer_s
        self._process = process
        self._ids = itertools.count(1)
        self._answers = {}
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def open(cls, name, command, log, cwd=None, answer_s=_ANSWER_S):
        """Start it; what it says on stderr goes to a log, and no answer may take longer than `answer_s`."""
        path = f"{_ROOT / '.venv-interop' / 'bin'}:{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(_ROOT)}
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                shutil.which(command[0], path=path),
                *command[1:],
                cwd=cwd,
                env=environment,
                limit=2**26,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
            )
        return cls(name, process, answer_s)

    async def ask(self, do, device, **more):
        """Have a device do something; returns what it tells."""
        number = next(self._ids)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        command = {"id": number, "do": do, "device": device, **more}
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        async with asyncio.timeout(self._answer_s):
            told = await answer
        if "error" in told:
            raise AssertionError(f"{self.name} failed to {do} on {device}: {told['error']}")
        return told["ok"]

    async def _read(self):
        async for line in self._process.stdout:
            told = json.loads(line)
            answer = self._answers.pop(told["id"])
            if not answer.done():
                answer.set_result(told)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(AssertionError(f"The program of {self.name} ended."))

    async def close(self):
        """End it; it ends by itself when there are no more commands."""
        self._process.stdin.close()
        try:
            async with asyncio.timeout(5):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        await self._reading


def commands(interop_python):
    """How the programs are started, by name: (command, directory)."""
    programs, js = HERE / "programs", HERE.parent / "js"
    return {
        "nio": ([interop_python, str(programs / "nio_program.py")], None),
        "js": (["node", "same_view.mjs"], js),
        "websocket": ([sys.executable, str(programs / "websocket_program.py")], None),
    }
