import asyncio
import os
import sys
import threading

import pytest

from homeserver.accounts.passwords import Passwords
from homeserver.core.errors import Unavailable, WeakPassword


@pytest.fixture
async def passwords():
    passwords = Passwords(memory_kib=8, time_cost=1, threads=1, waiting_max=2)
    yield passwords
    await passwords.close()


async def test_a_password_is_known_by_its_hash(passwords):
    password_hash = await passwords.hash("tr0ub4dor&3")

    assert password_hash.startswith("$argon2id$")
    assert await passwords.is_correct(password_hash, "tr0ub4dor&3")
    assert not await passwords.is_correct(password_hash, "tr0ub4dor&4")
    assert not await passwords.is_correct(password_hash, "x" * 1_000)


async def test_nobody_has_a_password(passwords):
    assert not await passwords.is_correct(None, "anything")
    assert not await passwords.is_correct("no hash at all", "anything")


async def test_a_hash_of_other_costs_is_outdated(passwords):
    dearer = Passwords(memory_kib=16, time_cost=1, threads=1)
    assert passwords.is_outdated(await dearer.hash("some password"))
    assert not passwords.is_outdated(await passwords.hash("some password"))
    await dearer.close()


async def test_only_so_many_wait(passwords):
    hashes = (passwords.hash("some password") for _ in range(5))
    results = await asyncio.gather(*hashes, return_exceptions=True)

    assert [type(result) for result in results].count(Unavailable) == 2


@pytest.mark.parametrize("password", ["", "seven77", "x" * 513])
async def test_passwords_have_bounds(passwords, password):
    with pytest.raises(WeakPassword):
        passwords.check_acceptable(password)
    passwords.check_acceptable("eight888")


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
async def test_hashes_give_way_to_the_loop():
    passwords = Passwords(memory_kib=8, time_cost=1)
    of_threads = await passwords._in_pool(
        lambda: os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    )
    of_loop = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    await passwords.close()

    assert of_threads > of_loop
