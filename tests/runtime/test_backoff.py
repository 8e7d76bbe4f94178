import pytest

from homeserver.runtime.backoff import Backoff


class Chance:
    def __init__(self, value):
        self.value = value

    def token_bytes(self, length_bytes):
        return bytes((self.value,)) * length_bytes


@pytest.mark.parametrize(("chance", "factor"), [(0, 0.5), (255, 1)])
def test_delays_double_up_to_the_longest_within_their_upper_half(chance, factor):
    backoff = Backoff(100, 1000, Chance(chance))

    delays = [backoff.next_delay_ms() for _ in range(6)]

    assert delays == pytest.approx([factor * delay for delay in (100, 200, 400, 800, 1000, 1000)], abs=1)
    assert backoff.failures == 6


def test_a_success_starts_over():
    backoff = Backoff(100, 1000, Chance(0))
    backoff.next_delay_ms()
    backoff.next_delay_ms()
    backoff.reset()

    assert backoff.failures == 0
    assert backoff.next_delay_ms() == 50


def test_a_thousand_failures_do_no_harm():
    backoff = Backoff(1, 3_600_000, Chance(255))

    assert max(backoff.next_delay_ms() for _ in range(1000)) <= 3_600_000
