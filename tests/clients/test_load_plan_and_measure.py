import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.load.measure import CpuTimes, Latencies
from clients.load.plan import Plan
from clients.load.receivers import Ledger, mark


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
