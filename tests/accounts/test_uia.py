import asyncio

import pytest

from homeserver.accounts.uia import (
    DUMMY,
    LIFETIME_MS,
    AuthenticationRequired,
    InteractiveAuthentication,
    pass_dummy,
)
from homeserver.core.errors import Forbidden, LimitExceeded
from homeserver.runtime.randomness import SystemRandomness
from tests.doubles.accounts import MovableClock

FLOWS = [["first", DUMMY], ["other"]]


async def check_first(auth):
    if auth.get("answer") == "too often":
        raise LimitExceeded("Wait.", retry_after_ms=1)
    if auth.get("answer") != 42:
        raise Forbidden("Wrong answer.")
    return "forty-two"


STAGES = {"first": check_first, "other": check_first, DUMMY: pass_dummy}


@pytest.fixture
def interactive(database):
    return InteractiveAuthentication(
        database=database, clock=MovableClock(), randomness=SystemRandomness()
    )


async def refusal(interactive, auth, operation="an operation", **more):
    with pytest.raises(AuthenticationRequired) as refused:
        await interactive.require(operation, FLOWS, STAGES, auth, **more)
    return refused.value.body()


async def test_the_stages_of_a_flow_are_passed_one_by_one(interactive):
    asked = await refusal(interactive, None)
    first = await refusal(interactive, {"type": "first", "answer": 42, "session": asked["session"]})
    passed = await interactive.require(
        "an operation", FLOWS, STAGES, {"type": DUMMY, "session": asked["session"]}
    )

    assert asked["flows"] == [{"stages": ["first", DUMMY]}, {"stages": ["other"]}]
    assert asked["completed"] == []
    assert first["completed"] == ["first"]
    assert "errcode" not in first
    assert passed == {"first": "forty-two", DUMMY: ""}


async def test_a_session_is_used_up(interactive):
    session = (await refusal(interactive, {"type": "first", "answer": 42}))["session"]
    await interactive.require("an operation", FLOWS, STAGES, {"type": DUMMY, "session": session})

    again = await refusal(interactive, {"session": session})

    assert again["session"] != session
    assert again["completed"] == []


async def test_a_stage_that_fails_is_told_and_forgets_nothing(interactive):
    session = (await refusal(interactive, {"type": "first", "answer": 42}))["session"]
    failed = await refusal(interactive, {"type": "other", "answer": 41, "session": session})

    assert failed["errcode"] == "M_FORBIDDEN"
    assert failed["completed"] == ["first"]
    assert failed["session"] == session


async def test_a_session_is_good_for_its_operation_only(interactive):
    session = (await refusal(interactive, {"type": "first", "answer": 42}))["session"]
    other = await refusal(interactive, {"type": DUMMY, "session": session}, "another operation")

    assert other["completed"] == [DUMMY]
    assert other["session"] != session


async def test_errors_that_are_no_verdict_are_passed_on(interactive):
    with pytest.raises(LimitExceeded):
        await interactive.require("an operation", FLOWS, STAGES, {"type": "other", "answer": "too often"})


@pytest.mark.parametrize("session", [7, None, "nul\0", "unknown"])
async def test_a_session_that_is_none_starts_anew(interactive, session):
    assert (await refusal(interactive, {"session": session}))["session"] not in {session, None}


async def test_a_nonce_is_used_once(interactive):
    await interactive.create_nonce("an operation", "abc")

    assert not await interactive.take_nonce("an operation", "nul\0", 1_000)
    assert await interactive.take_nonce("an operation", "abc", 1_000)
    assert not await interactive.take_nonce("an operation", "abc", 1_000)


async def test_a_session_cannot_be_turned_to_other_parameters(interactive):
    first = await refusal(interactive, None, parameters={"devices": ["a"]})
    passing = {"type": "first", "answer": 42, "session": first["session"]}
    await refusal(interactive, passing, parameters={"devices": ["a"]})
    other = await refusal(interactive, {"session": first["session"]}, parameters={"devices": ["b"]})

    assert other["session"] != first["session"]
    assert other["completed"] == []


async def test_parameters_may_come_after_the_session(interactive):
    first = await refusal(interactive, None)
    second = await refusal(interactive, {"session": first["session"]}, parameters=["a"])
    third = await refusal(interactive, {"session": first["session"]}, parameters=["b"])

    assert first["session"] == second["session"] == third["session"]


async def test_a_session_lives_on_after_a_restart_with_the_same_key(database):
    clock = MovableClock()

    def started(key):
        return InteractiveAuthentication(
            database=database, clock=clock, randomness=SystemRandomness(), parameters_key=key
        )

    passed = await refusal(started(b"key"), {"type": "first", "answer": 42}, parameters=["a"])
    again = await refusal(started(b"key"), {"session": passed["session"]}, parameters=["a"])
    lost = await refusal(started(b"another"), {"session": passed["session"]}, parameters=["a"])

    assert again["completed"] == ["first"]
    assert lost["completed"] == []


async def test_a_session_ends_with_its_time(database):
    clock = MovableClock()
    interactive = InteractiveAuthentication(
        database=database, clock=clock, randomness=SystemRandomness()
    )
    session = (await refusal(interactive, {"type": "first", "answer": 42}))["session"]
    clock.advance(LIFETIME_MS)

    assert await interactive.open_stage(session, "first") is None
    assert not await interactive.pass_stage(session, "first", "")
    assert (await refusal(interactive, {"session": session}))["session"] != session


async def test_stages_are_passed_from_elsewhere_at_the_same_time(interactive):
    session = (await refusal(interactive, None))["session"]
    await asyncio.gather(
        interactive.pass_stage(session, "first", "one"), interactive.pass_stage(session, DUMMY, "")
    )

    assert await interactive.require("an operation", FLOWS, STAGES, {"session": session}) == {
        "first": "one",
        DUMMY: "",
    }


async def test_of_two_requests_with_one_session_one_goes_through(interactive):
    session = (await refusal(interactive, {"type": "first", "answer": 42}))["session"]
    auth = {"type": DUMMY, "session": session}
    outcomes = await asyncio.gather(
        *(interactive.require("an operation", FLOWS, STAGES, auth) for _ in range(5)),
        return_exceptions=True,
    )

    assert sum(isinstance(one, AuthenticationRequired) for one in outcomes) == 4


async def test_what_is_stored_does_not_tell_the_parameters(interactive, database):
    await refusal(interactive, None, parameters={"password": "hunter2"})
    ((stored,),) = await database.fetch("SELECT row_to_json(uia_sessions)::text FROM uia_sessions")

    assert "hunter2" not in stored


async def test_clients_are_told_what_the_stages_of_the_flows_need(interactive):
    asked = await refusal(interactive, None, params={"first": {"key": "k"}, "elsewhere": {}})

    assert asked["params"] == {"first": {"key": "k"}}
