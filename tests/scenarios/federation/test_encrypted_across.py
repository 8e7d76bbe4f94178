"""Clients that we did not write talk in an encrypted room of two servers."""

import asyncio
from pathlib import Path

import pytest

from tests.scenarios.encrypted.devices import Device
from tests.scenarios.federation.conftest import running
from tests.scenarios.federation.pairs import CHOSEN, PAIRS
from tests.scenarios.same_view.client_process import ClientProcess

pytestmark = [pytest.mark.scenario, pytest.mark.interop, pytest.mark.timeout(180)]

_PROGRAM = Path(__file__).parents[1] / "encrypted" / "nio_program.py"
_PASSWORD = "load-generator-password"


@pytest.fixture(scope="module", params=CHOSEN)
def servers(request):
    with running(*PAIRS[request.param]) as both:
        yield both


@pytest.fixture
async def program(interop_python, tmp_path):
    made = await ClientProcess.open("nio", [interop_python, str(_PROGRAM)], tmp_path / "nio.log", answer_s=60)
    yield made
    await made.close()


async def log_in(program, person, name):
    """A device of a user."""
    device = Device(name, person.user_id[1:].partition(":")[0], "nio", program)
    await device.log_in(person.base_url, password=_PASSWORD)
    return device


async def read(device, room_id, count):
    """What a device can read once so many messages came."""
    for _ in range(600):
        found = await device.do("read", room_id=room_id)
        if len(found) >= count and all(body is not None for _, body, _ in found):
            return [body for _, body, _ in found]
        await asyncio.sleep(0.1)
    raise AssertionError(f"{device.name} reads {found}")


async def know(room_id, *devices):
    """Until all know of each other's devices."""
    known = {}
    for one in devices:
        known.setdefault(one.user_id, []).append(one.device_id)
    await asyncio.gather(*(one.do("know", room_id=room_id, devices=known) for one in devices))


async def test_they_read_each_other_also_on_a_device_that_comes_later(servers, come, program):
    alice, bob = await come(servers[0], "alice"), await come(servers[1], "bob")
    phone, desk = await log_in(program, alice, "phone"), await log_in(program, bob, "desk")
    algorithm = {"algorithm": "m.megolm.v1.aes-sha2"}
    encryption = {"type": "m.room.encryption", "state_key": "", "content": algorithm}
    room_id = await alice.make_room(invite=[bob.user_id], initial_state=[encryption])
    await desk.do("join", room_id=room_id)
    await know(room_id, phone, desk)
    await phone.do("send", room_id=room_id, body="secret of Alice", transaction_id="a1")
    assert await read(desk, room_id, 1) == ["secret of Alice"]
    await desk.do("send", room_id=room_id, body="secret of Bob", transaction_id="b1")
    assert await read(phone, room_id, 2) == ["secret of Alice", "secret of Bob"]

    late = await log_in(program, bob, "late")
    await know(room_id, phone, desk, late)
    await phone.do("send", room_id=room_id, body="for all three", transaction_id="a2")

    assert (await read(desk, room_id, 3))[-1] == "for all three"
    for _ in range(300):
        found = [body for _, body, _ in await late.do("read", room_id=room_id)]
        if found and found[-1] == "for all three":
            break
        await asyncio.sleep(0.1)
    assert found[-1] == "for all three"
