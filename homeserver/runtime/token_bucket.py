"""The arithmetic of a rate limit: no clock of its own, no waiting."""

__all__ = ["TokenBucket"]


class TokenBucket:
    """Holds up to `burst` tokens and regains `per_second` of them each second.

    Args:
        per_second: tokens regained each second.
        burst: tokens when full, which it is at first.
        now_ms: the time now, monotonic.
    """

    __slots__ = ("_as_of_ms", "_burst", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: float, now_ms: int) -> None:
        assert per_second > 0
        assert burst >= 1
        self._per_second = per_second
        self._burst = burst
        self._tokens = float(burst)
        self._as_of_ms = now_ms

    def take(self, now_ms: int, tokens: float = 1.0) -> int:
        """Take tokens if they are there.

        Args:
            now_ms: the time now, monotonic.
            tokens: how many.

        Returns:
            0 if they were taken, else after how many milliseconds they can be.
        """
        self._refill(now_ms)
        # The sum of many refills falls short of a whole token by less than this.
        if self._tokens >= tokens - 1e-6:
            self._tokens -= tokens
            return 0
        return int((tokens - self._tokens) / self._per_second * 1000) + 1

    def is_full(self, now_ms: int) -> bool:
        """Whether nothing was taken lately, so that the bucket may as well be forgotten."""
        self._refill(now_ms)
        return self._tokens >= self._burst

    def _refill(self, now_ms: int) -> None:
        elapsed_ms = max(0, now_ms - self._as_of_ms)
        self._tokens = min(self._burst, self._tokens + elapsed_ms * self._per_second / 1000)
        self._as_of_ms = max(self._as_of_ms, now_ms)
