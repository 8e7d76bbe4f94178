import pytest

from homeserver.accounts.uia import DUMMY, AuthenticationRequired, InteractiveAuthentication, pass_dummy
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


async def refusal(interactive, auth, operation="an operation"):
    with pytest.raises(AuthenticationRequired) as refused:
        await interactive.require(operation, FLOWS, STAGES, auth)
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
