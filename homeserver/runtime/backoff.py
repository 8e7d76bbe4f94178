"""How long to wait before trying again: longer each time, and never in step with others."""

from homeserver.runtime.randomness import Randomness

__all__ = ["Backoff"]


class Backoff:
    """Delays that double from `delay_ms_min` to `delay_ms_max`, each drawn from its upper half.

    Args:
        delay_ms_min: the first delay, before the draw.
        delay_ms_max: no delay is longer.
        randomness: for the draw, so that many who failed together do not come back together.
    """

    def __init__(self, delay_ms_min: int, delay_ms_max: int, randomness: Randomness) -> None:
        assert 0 < delay_ms_min <= delay_ms_max
        self._delay_ms_min = delay_ms_min
        self._delay_ms_max = delay_ms_max
        self._randomness = randomness
        self._failures = 0

    @property
    def failures(self) -> int:
        """How many delays were asked for since the last success."""
        return self._failures

    def next_delay_ms(self) -> int:
        """Note a failure; returns how long to wait."""
        # The exponent is bounded only to keep the number small.
        delay_ms = min(self._delay_ms_max, self._delay_ms_min << min(self._failures, 32))
        self._failures += 1
        chance = int.from_bytes(self._randomness.token_bytes(2), "big") / 65536
        return max(1, int(delay_ms * (0.5 + chance / 2)))

    def reset(self) -> None:
        """Note a success."""
        self._failures = 0
