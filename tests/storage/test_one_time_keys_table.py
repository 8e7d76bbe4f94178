"""One-time keys in PostgreSQL: whoever claims at the same time, none is handed out twice."""

import asyncio
import json
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest

from storage.pool import Database
from storage.tables import devices, one_time_keys

ALGORITHM = "signed_curve25519"
ALICE = "@alice:here"
DEVICES = [f"D{number}" for number in range(5)]
KEYS_PER_DEVICE = 10
_PROCESS = Path(__file__).parent / "claiming_process.py"
_ROOT = _PROCESS.parents[2]


@pytest.fixture
async def keys(database):
    """Give five devices ten one-time keys each, and a fallback key."""
    await database.execute("INSERT INTO accounts (user_id, created_ms) VALUES (%b, 0)", ALICE)
    for device_id in DEVICES:
        await devices.ensure(database, ALICE, device_id, None, 0)
        named = {(ALGORITHM, f"K{number}"): b'"%d"' % number for number in range(KEYS_PER_DEVICE)}
        await one_time_keys.add(database, ALICE, device_id, named)
        await one_time_keys.set_fallback(database, ALICE, device_id, {(ALGORITHM, "F"): b'"F"'})
    return database


async def test_two_servers_at_once_never_hand_out_the_same_key(keys):
    other = await Database.open(keys.dsn, pool_size_min=1, pool_size_max=5)
    forwards = [(ALICE, device_id, ALGORITHM) for device_id in DEVICES]
    claims = [
        one_time_keys.claim(database, asked)
        for _ in range(KEYS_PER_DEVICE)
        for database, asked in ((keys, forwards), (other, forwards[::-1]))
    ]

    claimed = [one for some in await asyncio.gather(*claims) for one in some]
    await other.close()

    assert len(claimed) == 2 * KEYS_PER_DEVICE * len(DEVICES)
    times = Counter((one.device_id, one.key_id) for one in claimed)
    for device_id in DEVICES:
        assert all(times[device_id, f"K{number}"] == 1 for number in range(KEYS_PER_DEVICE))
        assert times[device_id, "F"] == KEYS_PER_DEVICE
        assert await one_time_keys.counts(keys, ALICE, device_id) == one_time_keys.KeyCounts({}, [])
    assert sum(one.is_news for one in claimed if one.key_id == "F") == len(DEVICES), "used once, then again"


async def start_claiming(dsn, device_ids):
    """Start a process that waits for a line and then claims all keys."""
    return await asyncio.create_subprocess_exec(
        sys.executable, str(_PROCESS), dsn, ALGORITHM, ALICE, *device_ids,
        env={"PYTHONPATH": str(_ROOT)}, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def test_two_processes_at_once_never_hand_out_the_same_key(keys):
    more = {(ALGORITHM, f"M{number}"): b'"M"' for number in range(100)}
    for device_id in DEVICES:
        await one_time_keys.add(keys, ALICE, device_id, more)
    processes = [await start_claiming(keys.dsn, some) for some in (DEVICES, DEVICES[::-1])]
    try:
        async with asyncio.timeout(60):
            for process in processes:
                assert await process.stdout.readline() == b"ready\n"
            for process in processes:
                process.stdin.write(b"go\n")
            answers = await asyncio.gather(*(process.communicate() for process in processes))
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()
    claimed = [list(map(tuple, json.loads(answer))) for answer, _ in answers]

    each = KEYS_PER_DEVICE + len(more)
    times = Counter(one for some in claimed for one in some if one[1] != "F")
    assert len(times) == each * len(DEVICES)
    assert set(times.values()) == {1}
    for some in claimed:
        assert sum(key_id != "F" for _, key_id in some) > KEYS_PER_DEVICE, "both were at it"


async def test_a_key_that_somebody_is_taking_is_passed_over_and_comes_back_if_they_fail(keys):
    asked = [(ALICE, "D0", ALGORITHM)]
    with suppress(LookupError):
        async with keys.transaction() as transaction:
            (taken,) = await one_time_keys.claim(transaction, asked)
            (next_,) = await one_time_keys.claim(keys, asked)
            raise LookupError

    assert (taken.key_id, next_.key_id) == ("K0", "K1")
    (again,) = await one_time_keys.claim(keys, asked)
    assert again.key_id == "K0"


async def test_what_is_not_there_is_not_claimed_and_deleted_devices_have_nothing(keys):
    assert await one_time_keys.claim(keys, [(ALICE, "D0", "other"), ("@bob:here", "D0", ALGORITHM)]) == []
    await keys.execute("DELETE FROM devices WHERE user_id = %b", ALICE)
    assert await one_time_keys.claim(keys, [(ALICE, "D1", ALGORITHM)]) == []
    assert await keys.fetch("SELECT 1 FROM one_time_keys UNION ALL SELECT 1 FROM fallback_keys") == []
