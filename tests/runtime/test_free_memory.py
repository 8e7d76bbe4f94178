"""Memory that a burst has left behind goes back to the operating system, once, when it is over."""

import ctypes
from pathlib import Path

import pytest

from homeserver.runtime.free_memory import FreeMemory, process_cpu_s, trim_heap


class Process:
    """Uses CPU as it is told."""

    def __init__(self, *, can_trim=True):
        self.used_s = 5.0
        self.trims = 0
        self._can_trim = can_trim
        self.memory = FreeMemory(cpu_s=lambda: self.used_s, trim=self._trim)

    def _trim(self):
        self.trims += 1
        return self._can_trim

    def pass_time(self, *shares):
        """Let periods of 4 s pass in which it used these shares of a core."""
        for share in shares:
            self.used_s += 4 * share
            goes_on = self.memory.look(4.0)
        return goes_on


def test_what_the_start_has_left_is_given_back():
    process = Process()

    assert process.pass_time(0.01)
    assert process.trims == 1


def test_nothing_is_given_back_while_there_is_work():
    process = Process()

    process.pass_time(0.9, 0.5, 0.11)

    assert process.trims == 0


def test_it_is_given_back_once_after_each_burst():
    process = Process()

    process.pass_time(0.9, 0.05, 0.05, 0.09, 0.0)
    assert process.trims == 1

    process.pass_time(0.2, 0.0, 0.0)
    assert process.trims == 2


def test_where_it_cannot_be_given_back_nobody_watches():
    process = Process(can_trim=False)

    assert process.pass_time(0.5)
    assert not process.pass_time(0.0)


def test_this_process_uses_cpu():
    before_s = process_cpu_s()
    sum(range(1_000_000))

    assert process_cpu_s() > before_s


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="the C library is not glibc")
def test_what_was_freed_between_what_is_in_use_leaves_the_process():
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = (ctypes.c_size_t,)
    libc.free.argtypes = (ctypes.c_void_p,)
    # Below what the library gets from the system by itself.
    blocks = [libc.malloc(65_000) for _ in range(600)]
    for block in blocks:
        ctypes.memset(block, 1, 65_000)
    for block in blocks[:-1]:
        libc.free(block)
    held_bytes = resident_bytes()

    assert trim_heap()
    assert held_bytes - resident_bytes() > 20_000_000

    libc.free(blocks[-1])


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
