"""The loop of a client program: one command a line on stdin, one answer a line on stdout, as JSON.

A command is `{"id": …, "do": …, "device": …, …}`: `start`, `stop`, `resume`, `cut`, `act` or `view`. Its
answer is `{"id": …, "ok": …}`, or `{"id": …, "error": …}` where the program itself failed.
"""

import asyncio
import json
import os
import sys
import traceback


async def serve(make_device):
    """Do commands until stdin ends. `make_device(session)` makes the client of one device."""
    reader = asyncio.StreamReader(limit=2**26)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    devices, tasks = {}, set()
    async for line in reader:
        command = json.loads(line)
        task = asyncio.create_task(_answer(command, devices, make_device))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    os._exit(0)  # whatever the clients are waiting for


async def _answer(command, devices, make_device):
    try:
        if command["do"] == "start":
            devices[command["device"]] = make_device(command["session"])
        device = devices[command["device"]]
        if command["do"] == "act":
            told = await device.act(command["action"])
        else:
            told = await getattr(device, command["do"])()
        answer = {"id": command["id"], "ok": told}
    except Exception:  # noqa: BLE001 - whatever it is, whoever drives is to know
        answer = {"id": command["id"], "error": traceback.format_exc()}
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
