import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.load.measure import CpuTimes, Latencies, resident_bytes
from clients.load.plan import IdlePlan, LargeRoomPlan, Plan, plan_of
from clients.load.receivers import Ledger, mark
from clients.load.report import as_table
from clients.load.stage import Report
from clients.load.statements import StatementLog


@given(st.integers(1, 8), st.integers(1, 20), st.data())
def test_every_room_has_exactly_the_asked_number_of_receivers(groups, members, data):
    receivers = data.draw(st.integers(1, members))
    plan = Plan(users=groups * members, members=members, receivers=receivers)

    assert not plan.mistakes()
    for room in range(plan.users):
        assert sum(plan.is_receiver(user) for user in plan.members_of(room)) == receivers


def test_all_mistakes_of_a_plan_are_told_at_once():
    mistakes = Plan(users=5, members=10, receivers=11, transport="pigeon").mistakes()

    assert len(mistakes) == 4


def test_a_scenario_has_its_own_defaults_and_refuses_what_says_nothing_in_it():
    given_options = {"members": 300, "clients": None, "rate": 7, "users": None}

    assert plan_of("large-room", given_options) == (LargeRoomPlan(members=300, rate=7), [])
    _, mistakes = plan_of("idle", {"rate": 7})
    assert mistakes == ["--rate says nothing in the scenario idle."]


@pytest.mark.parametrize(
    "plan",
    [
        LargeRoomPlan(members=10, receivers=11, senders=11),
        LargeRoomPlan(receivers=3, senders=4),
        LargeRoomPlan(transport="pigeon"),
        IdlePlan(users=10, members=11),
    ],
)
def test_plans_that_cannot_work_say_why(plan):
    assert len(plan.mistakes()) == 1


@given(st.integers(1, 40), st.integers(1, 60))
def test_idle_rooms_have_different_members_and_use_all_users(members, rooms):
    plan = IdlePlan(users=40, members=members, rooms=rooms)
    lists = [plan.members_of(room) for room in range(rooms)]

    assert all(len(set(one)) == members for one in lists)
    assert len({user for one in lists for user in one}) == min(40, rooms * members)


def test_memory_of_a_process_is_that_of_the_kernel():
    assert 2**20 < resident_bytes((os.getpid(),)) < 2**33
    assert resident_bytes(()) == 0


async def test_the_log_tells_every_statement_of_its_time(postgres_dsn, database):
    cluster = Path(postgres_dsn.split("host=")[1].split()[0])
    log = StatementLog(cluster.parent)
    await database.fetch("SELECT 1")

    async with log:
        async with asyncio.timeout(10):
            # Each connection hears of it by a signal, a moment later.
            while await database.fetch("SHOW log_statement") != [("all",)]:
                pass
        await database.fetch("SELECT 22")
        await database.fetch("SELECT %b::int", 5)
        told = log.statements()

    assert [one for one in told if not one.startswith("SHOW")] == ["SELECT 22", "SELECT $1::int"]


def test_a_table_has_the_columns_that_its_phases_fill():
    table = as_table(Report({"idle": {"operations": 5_000, "statements": 0}, "other": {"operations": 1}}))

    assert table.splitlines() == [
        "| phase | count | statements |",
        "|---|---|---|",
        "| idle | 5,000 | 0 |",
        "| other | 1 |  |",
    ]


@given(st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_a_percentile_is_a_measured_value_that_enough_others_do_not_exceed(values):
    latencies = Latencies()
    for value in values:
        latencies.add(value)

    for percent in (50, 95, 99, 100):
        found_s = latencies.percentile_ms(percent) / 1000
        not_above = sum(value <= found_s + 1e-9 for value in values)
        assert not_above * 100 >= percent * len(values)
    assert latencies.percentile_ms(100) == pytest.approx(max(values) * 1000)


def test_cpu_is_told_per_operation():
    spent = CpuTimes(3.0, 1.5).since(CpuTimes(1.0, 0.5))

    assert spent.per_operation_us(1000) == (2000.0, 1000.0)


def _event(number):
    return {"type": "m.room.message", "content": {"body": mark(number) + "xx"}}


def test_the_ledger_finds_the_lost_and_the_doubled():
    ledger = Ledger()
    for number in (1, 2):
        ledger.started(number, 0.0)
        ledger.acknowledged(number, 2)
    ledger.delivered("alice", _event(1))
    ledger.delivered("alice", _event(1))
    ledger.delivered("bob", _event(1))
    ledger.delivered("bob", _event(2))

    assert (ledger.outstanding, ledger.duplicates, ledger.deliveries) == (1, 1, 3)


async def test_a_delivery_before_its_acknowledgement_counts():
    ledger = Ledger()
    ledger.started(7, 0.0)
    ledger.delivered("alice", _event(7))
    ledger.acknowledged(7, 1)
    await ledger.settle(1)

    assert ledger.outstanding == 0
