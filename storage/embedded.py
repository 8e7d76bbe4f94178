"""Runs a PostgreSQL of our own: initialised, started, supervised and stopped with the server.

It listens on a Unix socket only. It stops by itself if the server is killed; one that lives on all the same
is adopted by the next server.
"""

import asyncio
import ctypes
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, ClassVar

import psycopg

from homeserver.runtime.observation import Failure, Level, Observation, Observer, ignore_observations
from storage.binaries import Account, PostgresMissingError, Programs, find_programs, unprivileged_account

__all__ = ["EmbeddedPostgres", "PostgresEnded", "PostgresFailedError", "PostgresMissingError"]

_NAME = "isthmus"
_PORT = 5432
_SOCKET_PATH_BYTES_MAX = 103
_START_TIMEOUT_S = 60.0  # recovery after a crash included
_STOP_TIMEOUT_S = 30.0
_POLL_S = 0.02
_SUPERVISION_S = 0.5
_LOG_BYTES_MAX = 10_000_000
_READY, _STOPPING = "ready", "stopping"
_LINUX = sys.platform == "linux"

_SETTINGS = {
    "autovacuum": "on",
    "checkpoint_timeout": "15min",
    "fsync": "on",
    "jit": "off",  # compiles for longer than our statements run
    "listen_addresses": "",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "max_connections": "60",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    "max_replication_slots": "0",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "shared_buffers": "128MB",
    "synchronous_commit": "on",
    "timezone": "UTC",
    "unix_socket_permissions": "0700",
    "update_process_title": "off",  # a system call per statement otherwise
    "wal_level": "minimal",  # nobody replicates it, and it wakes less often
}


class PostgresFailedError(Exception):
    """Our PostgreSQL did not start or stop as it should; the message says what is known."""


@dataclass(frozen=True, slots=True)
class PostgresEnded(Observation):
    """Our PostgreSQL ended though nobody had asked it to; it is being started again.

    Attributes:
        pid: what was its process ID.
        log: the end of its log.
    """

    level: ClassVar[Level] = Level.ERROR
    pid: int
    log: str


class EmbeddedPostgres:
    """A PostgreSQL server below a data directory.

    Args:
        data_directory: the cluster goes into `postgres` in it, its log into `postgres.log`.
        bin_dir: where PostgreSQL's programs are; None to find them.
        settings: server settings that differ from ours, for tests.
        observer: hears of a server that ended unasked.
    """

    def __init__(
        self, data_directory: Path | str, bin_dir: Path | str | None = None,
        settings: Mapping[str, str] | None = None, observer: Observer = ignore_observations,
    ) -> None:  # fmt: skip
        self._root = Path(data_directory).resolve()
        self._cluster = self._root / "postgres"
        self._bin_dir = Path(bin_dir) if bin_dir else None
        self._settings = {**_SETTINGS, **(settings or {})}
        self._lock: IO[bytes] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._pid: int | None = None
        self._own_socket_directory: Path | None = None
        self._observer = observer
        self._is_stopping = False

    @property
    def pid(self) -> int | None:
        """Process ID of the postmaster, while it runs."""
        return self._pid

    async def start(self) -> str:
        """Start the server, or adopt one that outlived its own; returns the DSN.

        Raises:
            PostgresMissingError: there is no PostgreSQL to run.
            PostgresFailedError: another server uses the data directory, or PostgreSQL does not start.
        """
        self._is_stopping = False
        self._root.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        try:
            socket_directory = await self._adopted()
            if socket_directory is not None:
                try:
                    return await self._ensure_database(socket_directory)
                except PostgresFailedError:
                    # It was about to stop, as its own server was killed a moment ago; or it is sick.
                    if not await self._gone(_START_TIMEOUT_S):
                        raise
                    self._pid = None
            return await self._ensure_database(await self._start_anew())
        except BaseException:
            await self.stop()
            raise

    def dsn_of_running(self) -> str | None:
        """The DSN of the server of this cluster that runs, whoever started it; None: none does."""
        pid, socket_directory, status = self._read_pid_file()
        if pid is None or not _is_postgres(pid) or status != _READY:
            return None
        return f"host={socket_directory} port={_PORT} user={_NAME} dbname={_NAME}"

    async def supervise(self) -> None:
        """Start the server again whenever it ends unasked, at the same address; until `stop`."""
        while not self._is_stopping:
            await asyncio.sleep(_SUPERVISION_S)
            if self._pid is None or self._is_alive():
                continue
            self._observer(PostgresEnded(self._pid, self._end_of_log()))
            self._process = None
            try:
                await self._start_anew()
            except (PostgresFailedError, OSError) as error:  # its remains may still be ending
                self._observer(Failure(error))

    async def stop(self) -> None:
        """Stop the server and wait until it has gone."""
        self._is_stopping = True
        if self._pid is not None and self._is_alive():
            for stop_signal in (signal.SIGINT, signal.SIGQUIT):
                self._signal(stop_signal)
                if await self._gone(_STOP_TIMEOUT_S):
                    break
        self._pid = None
        if self._own_socket_directory is not None:
            shutil.rmtree(self._own_socket_directory, ignore_errors=True)
            self._own_socket_directory = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take_lock(self) -> None:
        lock = (self._root / "postgres.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise PostgresFailedError(f"Another server uses {self._root}. Stop it first.") from error
        self._lock = lock

    # An orphan

    async def _adopted(self) -> str | None:
        """Return the socket directory of a live server of this cluster; waits for one that stops."""
        pid, socket_directory, status = self._read_pid_file()
        if pid is None or not _is_postgres(pid):
            return None
        self._pid = pid
        if status == _READY:
            return socket_directory or None
        if not await self._gone(_START_TIMEOUT_S):
            raise PostgresFailedError(f"A PostgreSQL (process {pid}) of {self._cluster} does not stop.")
        self._pid = None
        return None

    def _read_pid_file(self) -> tuple[int | None, str, str]:
        """Read process ID, socket directory and status from `postmaster.pid`, as far as it is written."""
        try:
            lines = (self._cluster / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return None, "", ""
        lines += [""] * (8 - len(lines))
        pid = int(lines[0]) if lines[0].strip().isdigit() else None
        socket_directory = lines[4].strip()
        if socket_directory == ".":
            socket_directory = str(self._cluster)
        return pid, socket_directory, lines[7].strip()

    # A fresh start

    async def _start_anew(self) -> str:
        account = unprivileged_account()
        programs = await asyncio.to_thread(
            find_programs, self._bin_dir, self._root / "postgres-programs", account
        )
        if not (self._cluster / "PG_VERSION").exists():
            await asyncio.to_thread(self._initialise, programs, account)
        elif (version := (self._cluster / "PG_VERSION").read_text().strip()) != str(programs.major):
            raise PostgresFailedError(
                f"{self._cluster} was made by PostgreSQL {version}, but the programs in"
                f" {programs.directory} are of version {programs.major}."
                f" Set database.bin_dir to programs of version {version}."
            )
        socket_directory = self._choose_socket_directory(account)
        # In the thread of the event loop: the kernel sends the signal of PR_SET_PDEATHSIG when the *thread*
        # that started the process ends.
        self._process = self._spawn(programs, account, socket_directory)
        self._pid = self._process.pid
        await self._wait_until_ready()
        return str(self._cluster) if socket_directory == "." else socket_directory

    def _initialise(self, programs: Programs, account: Account | None) -> None:
        """Make the cluster in a temporary directory, and give it its name once it is complete."""
        for remains in self._root.glob("postgres-unfinished-*"):
            shutil.rmtree(remains)
        unfinished = Path(tempfile.mkdtemp(dir=self._root, prefix="postgres-unfinished-"))
        if account is not None:
            os.chown(unfinished, account.uid, account.gid)
        output = ""
        for locale in ("C.UTF-8", "C"):  # the first is missing from some systems
            finished = subprocess.run(  # noqa: S603 - the program we found, our own arguments
                [
                    programs.directory / "initdb", "-D", _data_path(unfinished, account), "-U", _NAME, "-N",
                    "--encoding=UTF8", f"--locale={locale}", "--auth=trust", "--no-instructions",
                ],
                **_as_account(account), cwd=unfinished, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT, check=False, timeout=_START_TIMEOUT_S,
            )  # fmt: skip
            if finished.returncode == 0:
                os.sync()  # initdb syncs file by file, which takes longer
                unfinished.rename(self._cluster)
                return
            output = finished.stdout.decode(errors="replace")
        raise PostgresFailedError(f"initdb failed: {output.strip()}")

    def _choose_socket_directory(self, account: Account | None) -> str:
        """Choose a directory whose path fits into a socket address: the cluster's, or one in /tmp."""
        if len(os.fsencode(self._cluster / f".s.PGSQL.{_PORT}")) <= _SOCKET_PATH_BYTES_MAX:
            return "."
        if self._own_socket_directory is not None:  # of the one that ended; the address stays
            return str(self._own_socket_directory)
        directory = Path(tempfile.mkdtemp(prefix="isthmus-", dir="/tmp"))
        self._own_socket_directory = directory
        if account is not None:
            os.chown(directory, account.uid, account.gid)
        return str(directory)

    def _spawn(
        self, programs: Programs, account: Account | None, socket_directory: str
    ) -> "subprocess.Popen[bytes]":
        settings = {**self._settings, "port": str(_PORT), "unix_socket_directories": socket_directory}
        if programs.major >= 18:
            settings.setdefault("io_method", "sync")  # no further processes for reads that hit the cache
        arguments: list[Any] = [programs.directory / "postgres", "-D", _data_path(self._cluster, account)]
        for name, value in settings.items():
            arguments += ["-c", f"{name}={value}"]
        log_path = self._root / "postgres.log"
        if log_path.exists() and log_path.stat().st_size > _LOG_BYTES_MAX:
            log_path.replace(self._root / "postgres.log.old")
        with log_path.open("ab") as log:
            return subprocess.Popen(  # noqa: S603 - the program we found, our own arguments
                arguments, **_as_account(account), cwd=self._cluster, stdin=subprocess.DEVNULL, stdout=log,
                stderr=log, start_new_session=True,
                preexec_fn=_stop_with_parent if _LINUX else None,  # noqa: PLW1509 - one system call, prepared before
            )  # fmt: skip

    async def _wait_until_ready(self) -> None:
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT_S
        assert self._process is not None
        while True:
            if self._process.poll() is not None:
                raise PostgresFailedError(f"PostgreSQL stopped at once: {self._end_of_log()}")
            pid, _, status = self._read_pid_file()
            if pid == self._process.pid and status == _READY:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise PostgresFailedError(f"PostgreSQL does not become ready: {self._end_of_log()}")
            await asyncio.sleep(_POLL_S)

    async def _ensure_database(self, socket_directory: str) -> str:
        dsn = f"host={socket_directory} port={_PORT} user={_NAME} dbname="
        try:
            async with await psycopg.AsyncConnection.connect(f"{dsn}postgres", autocommit=True) as connection:
                found = await connection.execute("SELECT FROM pg_database WHERE datname = %s", (_NAME,))
                if await found.fetchone() is None:
                    await connection.execute(f"CREATE DATABASE {_NAME}")
        except psycopg.Error as error:
            raise PostgresFailedError(f"PostgreSQL does not answer: {error}") from error
        return dsn + _NAME

    def _end_of_log(self) -> str:
        try:
            return (self._root / "postgres.log").read_text(errors="replace")[-1_000:].strip()
        except FileNotFoundError:
            return "no log"

    # The end

    def _signal(self, number: int) -> None:
        assert self._pid is not None
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)

    async def _gone(self, timeout_s: float) -> bool:
        deadline = asyncio.get_running_loop().time() + timeout_s
        while asyncio.get_running_loop().time() < deadline:
            if not self._is_alive():
                return True
            await asyncio.sleep(_POLL_S)
        return False

    def _is_alive(self) -> bool:
        if self._process is not None:
            return self._process.poll() is None
        return self._pid is not None and _is_postgres(self._pid)


def _data_path(directory: Path, account: Account | None) -> str:
    """Return the path by which PostgreSQL is to know a directory that is its working directory.

    The account we drop to may not be able to walk down to it (a home directory of mode 0700). It is started
    inside, where root has put it, and this link leads there from anywhere.
    """
    return "/proc/self/cwd" if account is not None and _LINUX else str(directory)


def _as_account(account: Account | None) -> dict[str, Any]:
    return account.popen_arguments() if account is not None else {}


def _is_postgres(pid: int) -> bool:
    """Whether a process is alive and a PostgreSQL; process IDs are used again after a reboot."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return False
    if not _LINUX:
        return True
    try:
        state_and_name = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    name = state_and_name[state_and_name.find("(") + 1 : state_and_name.rfind(")")]
    return name == "postgres" and state_and_name[state_and_name.rfind(")") + 2] != "Z"


if _LINUX:
    _PR_SET_PDEATHSIG = 1
    _libc = ctypes.CDLL(None)

    def _stop_with_parent() -> None:
        """Ask the kernel for a SIGINT, a clean stop, should the server be killed."""
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
