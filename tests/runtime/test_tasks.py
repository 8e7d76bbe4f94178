import asyncio

import pytest

from homeserver.runtime.observation import current_request_id
from homeserver.runtime.tasks import Tasks, end_if_cancelled


async def test_a_task_that_fails_is_observed_by_name():
    observations = []
    tasks = Tasks(observations.append)

    async def fail():
        raise ValueError("broken")

    await asyncio.wait([tasks.start(fail(), "fails")])
    await asyncio.sleep(0)

    assert [(seen.name, str(seen.error)) for seen in observations] == [("fails", "broken")]
    assert len(tasks) == 0


async def test_a_task_gives_its_result_and_is_forgotten():
    tasks = Tasks(pytest.fail)

    async def work():
        return 7

    assert await tasks.start(work(), "works") == 7
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_closing_cancels_and_waits_for_the_end_of_every_task():
    tasks = Tasks(pytest.fail)
    ended = []

    async def wait_for_ever(name):
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    for name in "ab":
        tasks.start(wait_for_ever(name), name)
    await asyncio.sleep(0)
    await tasks.close()

    assert sorted(ended) == ["a", "b"]
    assert len(tasks) == 0


async def test_a_task_that_missed_its_cancellation_is_cancelled_again(monkeypatch):
    monkeypatch.setattr("homeserver.runtime.tasks._CANCEL_AGAIN_S", 0.01)
    tasks = Tasks(pytest.fail)
    missed = []

    async def miss_one():
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if missed:
                    raise
                missed.append(1)

    tasks.start(miss_one(), "deaf")
    await asyncio.sleep(0)
    await tasks.close()

    assert missed == [1]
    assert len(tasks) == 0


async def test_a_task_notices_late_that_it_was_cancelled(monkeypatch):
    monkeypatch.setattr("homeserver.runtime.tasks._CANCEL_AGAIN_S", 60.0)
    tasks = Tasks(pytest.fail)

    async def go_on():
        end_if_cancelled()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            end_if_cancelled()
        pytest.fail("it went on")

    tasks.start(go_on(), "deaf")
    await asyncio.sleep(0)
    await tasks.close()

    assert len(tasks) == 0


async def test_a_task_that_closes_its_owner_is_not_waited_for():
    tasks = Tasks(pytest.fail)

    await tasks.start(tasks.close(), "closes")

    with pytest.raises(RuntimeError, match="late was started after"):
        tasks.start(asyncio.sleep(0), "late")


async def test_a_task_is_no_part_of_the_request_that_started_it():
    tasks = Tasks(pytest.fail)

    async def tell():
        return current_request_id.get()

    current_request_id.set("r1")

    assert await tasks.start(tell(), "tells") == ""
