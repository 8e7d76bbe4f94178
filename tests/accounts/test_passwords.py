import asyncio
import os
import sys
import threading

import pytest

from homeserver.accounts.passwords import Passwords, threads_beside_the_loop
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


async def test_nobody_waits_for_ever_and_what_waited_in_vain_is_not_computed():
    passwords = Passwords(memory_kib=8, time_cost=1, threads=1, timeout_ms=20)
    go_on, computed = threading.Event(), []
    run = asyncio.get_running_loop().run_in_executor
    hog = run(passwords._pool, go_on.wait, 60)
    with pytest.raises(Unavailable):
        await passwords._in_pool(lambda: computed.append("a hash"))
    go_on.set()
    await hog
    await run(passwords._pool, int)  # its turn comes after all that waited
    await passwords.close()

    assert computed == []


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (3, 2), (5, 4), (64, 4)])
def test_hashes_leave_the_loop_a_core(monkeypatch, cores, threads):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(cores)))

    assert threads_beside_the_loop() == threads


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
