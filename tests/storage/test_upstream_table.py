from dataclasses import replace

import pytest

from storage.tables import accounts, upstream
from storage.tables.accounts import AccountRow
from storage.tables.upstream import AttemptRow, NewcomerRow

ALICE, BOB = "@alice:localhost", "@bob:localhost"
ATTEMPT = AttemptRow("company", "nonce", "verifier", "/account", None, 1_000)
NEWCOMER = NewcomerRow("company", "1", "erika", None, None, "/account")


@pytest.fixture
async def queries(database):
    for user_id in (ALICE, BOB):
        await accounts.create(
            database, AccountRow(user_id, None, is_admin=False, user_type=None, created_ms=1)
        )
    return database


async def test_one_person_has_one_account_and_an_account_is_one_person_at_each_provider(queries):
    assert await upstream.add_identity(queries, "company", "1", ALICE, 1)

    assert not await upstream.add_identity(queries, "company", "1", BOB, 1)
    assert not await upstream.add_identity(queries, "company", "2", ALICE, 1)
    assert await upstream.add_identity(queries, "other", "1", ALICE, 1)
    assert await upstream.add_identity(queries, "company", "2", BOB, 1)
    assert await upstream.user_of(queries, "company", "1") == ALICE
    assert await upstream.user_of(queries, "company", "3") is None
    assert await upstream.providers_of(queries, ALICE) == ["company", "other"]


async def test_only_providers_that_there_are_count(queries):
    await upstream.add_identity(queries, "gone", "1", ALICE, 1)

    assert not await upstream.has_identity(queries, ALICE, ["company"])
    assert await upstream.has_identity(queries, ALICE, ["company", "gone"])
    assert not await upstream.has_identity(queries, BOB, ["company", "gone"])


async def test_an_attempt_is_taken_once_by_its_browser_and_in_time(queries):
    await upstream.add_attempt(queries, b"state", b"browser", ATTEMPT)

    assert await upstream.take_attempt(queries, b"state", b"other", 0) is None
    assert await upstream.take_attempt(queries, b"other", b"browser", 0) is None
    assert await upstream.take_attempt(queries, b"state", b"browser", 1_000) is None
    assert await upstream.take_attempt(queries, b"state", b"browser", 999) == ATTEMPT
    assert await upstream.take_attempt(queries, b"state", b"browser", 999) is None


async def test_a_browser_has_one_newcomer_the_last(queries):
    last = replace(NEWCOMER, subject="2", display_name="Erika", email="e@example.org")
    await upstream.put_newcomer(queries, b"browser", NEWCOMER, 1_000)
    await upstream.put_newcomer(queries, b"browser", last, 2_000)

    assert await upstream.find_newcomer(queries, b"browser", 1_999) == last
    assert await upstream.find_newcomer(queries, b"browser", 2_000) is None
    await upstream.take_newcomer(queries, b"browser")
    assert await upstream.find_newcomer(queries, b"browser", 0) is None


async def test_what_nobody_comes_back_to_is_forgotten(queries):
    await upstream.add_attempt(queries, b"old", b"browser", ATTEMPT)
    await upstream.add_attempt(queries, b"new", b"browser", replace(ATTEMPT, created_ms=2_000))
    await upstream.put_newcomer(queries, b"old", NEWCOMER, 1_000)

    await upstream.forget_older_than(queries, 1_500)

    assert await upstream.take_attempt(queries, b"old", b"browser", 0) is None
    assert await upstream.find_newcomer(queries, b"old", 0) is None
    assert await upstream.take_attempt(queries, b"new", b"browser", 0) is not None
