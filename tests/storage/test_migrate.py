import asyncio

import pytest

from storage.migrate import SCHEMA_DIRECTORY, SchemaError, migrate


async def test_a_migrated_database_needs_nothing_more(database):
    assert await migrate(database) == []
    count = await database.fetch_one("SELECT count(*) FROM schema_migrations")

    assert count == (len(list(SCHEMA_DIRECTORY.glob("*.sql"))),)


async def test_servers_that_start_together_apply_a_file_once(database, tmp_path):
    (tmp_path / "9001_things.sql").write_text("CREATE TABLE things (n int); INSERT INTO things VALUES (1);")
    applied = await asyncio.gather(*[migrate(database, tmp_path) for _ in range(3)])

    assert sorted(applied) == [[], [], ["9001_things.sql"]]
    assert await database.fetch("SELECT n FROM things") == [(1,)]


async def test_a_file_that_fails_changes_nothing(database, tmp_path):
    (tmp_path / "9001_things.sql").write_text("CREATE TABLE things (n int); SELECT nonsense;")
    with pytest.raises(SchemaError, match=r"9001_things\.sql"):
        await migrate(database, tmp_path)

    assert await database.fetch_one("SELECT to_regclass('things')::text") == (None,)


@pytest.mark.parametrize("names", [("things.sql",), ("9001_a.sql", "9001_b.sql")])
async def test_names_say_one_order(database, tmp_path, names):
    for name in names:
        (tmp_path / name).write_text("SELECT 1")
    with pytest.raises(SchemaError):
        await migrate(database, tmp_path)
