"""Brings the schema up to date: numbered files, forward only, each in its own transaction."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import psycopg

import storage.schema
from homeserver.runtime.observation import Level, Observation, Observer, ignore_observations
from storage.pool import Database, Transaction

__all__ = ["SCHEMA_DIRECTORY", "Migrated", "SchemaError", "migrate"]

SCHEMA_DIRECTORY = Path(storage.schema.__path__[0])

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_ADVISORY_LOCK = 7_202_622_014_351_188_992  # any number that nobody else uses
_TABLE = (
    "CREATE TABLE IF NOT EXISTS schema_migrations ("
    "number integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
)


class SchemaError(Exception):
    """The files and the database do not fit; the message says how."""


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    text: str


@dataclass(frozen=True, slots=True)
class Migrated(Observation):
    """A file of the schema was applied."""

    level: ClassVar[Level] = Level.INFO
    name: str


async def migrate(
    database: Database, schema_directory: Path = SCHEMA_DIRECTORY, observer: Observer = ignore_observations
) -> list[str]:
    """Apply the files that have not been applied yet; returns their names.

    Servers that start at the same time wait for each other. A database that is ahead of the files is fine: it
    belongs to the next version, which runs beside this one.

    Raises:
        SchemaError: two files have the same number, a name is not `0001_words.sql`, or one fails.
    """
    files = _files(schema_directory)
    applied: list[str] = []
    for number, file in files.items():
        try:
            async with database.transaction() as transaction:
                is_new = await _apply(transaction, number, file)
        except psycopg.Error as error:
            raise SchemaError(f"{file.name} failed and changed nothing: {error}") from error
        if is_new:
            applied.append(file.name)
            observer(Migrated(file.name))
    return applied


async def _apply(transaction: Transaction, number: int, file: _File) -> bool:
    await transaction.execute("SELECT pg_advisory_xact_lock(%b::bigint)", _ADVISORY_LOCK)
    await transaction.execute(_TABLE)
    if await transaction.fetch_one("SELECT 1 FROM schema_migrations WHERE number = %b::integer", number):
        return False
    await transaction.script(file.text)
    await transaction.execute(
        "INSERT INTO schema_migrations (number, name) VALUES (%b::integer, %b)", number, file.name
    )
    return True


def _files(directory: Path) -> dict[int, _File]:
    files: dict[int, _File] = {}
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise SchemaError(f"{path.name} should be named like 0001_foundation.sql.")
        number = int(match[1])
        if number in files:
            raise SchemaError(f"{files[number].name} and {path.name} have the same number.")
        files[number] = _File(path.name, path.read_text(encoding="utf-8"))
    return files
