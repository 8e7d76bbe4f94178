"""Servers with signing keys, and a key ring of ours that knows them by and by."""

import pytest

from tests.doubles.accounts import MovableClock
from tests.doubles.key_servers import KeyNetwork, key_ring


@pytest.fixture
def clock():
    return MovableClock()


@pytest.fixture
def network(clock):
    network = KeyNetwork(clock)
    network.add("a.example")
    network.add("b.example")
    return network


@pytest.fixture
async def make_ring(network, clock):
    rings = []

    def make(**options):
        rings.append(key_ring(network, clock, **options))
        return rings[-1]

    yield make
    for one in rings:
        await one.close()


@pytest.fixture
def ring(make_ring):
    return make_ring()
