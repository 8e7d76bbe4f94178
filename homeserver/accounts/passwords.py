"""Passwords: argon2id, computed in a bounded thread pool so that the loop never waits for it."""

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from homeserver.core.errors import Unavailable, WeakPassword

__all__ = ["PASSWORD_CHARACTERS_MAX", "Passwords", "threads_beside_the_loop"]

PASSWORD_CHARACTERS_MAX = 512
"""Longer ones are refused: hashing a body full of password is work that a stranger could cause."""

TIMEOUT_MS = 60_000
"""Who has waited for so long has gone away, or will soon; a hash itself takes some 30 ms."""

THREADS_MAX = 4
"""Each takes the memory of a hash, and is as many logins a second as anybody needs: about 30."""

_NICENESS = 10
_SENTENCE = "Too many people log in just now; try again in a moment."
_NOBODYS_PASSWORD = "hashed where there is no account, so that the answer takes as long"  # noqa: S105 - nobody's

Result = TypeVar("Result")


def _give_way() -> None:
    """Let the loop go first where there are fewer cores than work: messages are more urgent than hashes."""
    with suppress(OSError, AttributeError):
        # On Linux a priority is a thread's own.
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)


def threads_beside_the_loop() -> int:
    """How many hashes to compute at once, so that the loop keeps a core to itself where there are several."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    return max(1, min(cores - 1, THREADS_MAX))


class Passwords:
    """Hashes and checks passwords.

    Args:
        memory_kib: memory that one hash takes.
        time_cost: passes over that memory.
        parallelism: lanes.
        length_min: shorter passwords are refused.
        threads: how many hashes are computed at once; None: as many as leave the loop a core.
        waiting_max: how many may wait for a thread; above that a request is refused and may be tried again.
        timeout_ms: for how long a request may wait for its hash; then it is refused likewise.
    """

    def __init__(
        self,
        *,
        memory_kib: int = 19 * 1024,
        time_cost: int = 2,
        parallelism: int = 1,
        length_min: int = 8,
        threads: int | None = None,
        waiting_max: int = 256,
        timeout_ms: int = TIMEOUT_MS,
    ) -> None:
        threads = threads_beside_the_loop() if threads is None else threads
        assert threads >= 1
        assert waiting_max >= 1
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=parallelism)
        self._pool = ThreadPoolExecutor(
            max_workers=threads, thread_name_prefix="passwords", initializer=_give_way
        )
        self._length_min = length_min
        self._at_once_max = threads + waiting_max
        self._timeout_s = timeout_ms / 1000
        self._at_once = 0
        self._hash_of_nobody: str | None = None

    def check_acceptable(self, password: str) -> None:
        """Refuse a new password that is too short or too long.

        Raises:
            WeakPassword: it is, and how long it must be.
        """
        if len(password) < self._length_min:
            raise WeakPassword(f"The password must have at least {self._length_min} characters.")
        if len(password) > PASSWORD_CHARACTERS_MAX:
            raise WeakPassword(f"The password must have at most {PASSWORD_CHARACTERS_MAX} characters.")

    async def hash(self, password: str) -> str:
        """The hash of a password in argon2's text form, salt and costs included.

        Raises:
            Unavailable: too many wait already, or it took too long.
        """
        return await self._in_pool(lambda: self._hasher.hash(password))

    async def is_correct(self, password_hash: str | None, password: str) -> bool:
        """Whether the password is the one that was hashed; takes its time even without a hash.

        Raises:
            Unavailable: too many wait already, or it took too long.
        """
        if len(password) > PASSWORD_CHARACTERS_MAX:
            return False
        if password_hash is None:
            if self._hash_of_nobody is None:
                self._hash_of_nobody = await self.hash(_NOBODYS_PASSWORD)
            await self._in_pool(lambda: self._verify(self._hash_of_nobody or "", password))
            return False
        return await self._in_pool(lambda: self._verify(password_hash, password))

    def is_outdated(self, password_hash: str) -> bool:
        """Whether the hash was made with other costs than the present ones."""
        return self._hasher.check_needs_rehash(password_hash)

    async def close(self) -> None:
        """Let the threads end; what waits for them fails."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _verify(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, password)
        except (VerificationError, InvalidHashError):
            return False

    async def _in_pool(self, work: Callable[[], Result]) -> Result:
        if self._at_once >= self._at_once_max:
            raise Unavailable(_SENTENCE)
        self._at_once += 1
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except TimeoutError:
            raise Unavailable(_SENTENCE) from None
        finally:
            self._at_once -= 1
