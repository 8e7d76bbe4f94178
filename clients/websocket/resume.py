"""What of a sync stream is on its way: the deltas that the client has not acknowledged.

The bound on them is the flow control of the stream. Resuming needs nothing more than the token of the
last delta that the client dealt with: every delta is computed from the token before it, so that whatever was
on its way when a connection broke is computed again from there.
"""

__all__ = ["Unacknowledged"]

DELTAS_MAX = 128
BYTES_MAX = 4 * 1024 * 1024


class Unacknowledged:
    """The deltas on their way, in order, and how many more may follow."""

    __slots__ = ("_bytes", "_bytes_max", "_deltas", "_deltas_max")

    def __init__(self, deltas_max: int = DELTAS_MAX, bytes_max: int = BYTES_MAX) -> None:
        # Nearly always empty or short, and there is one for each connection: a deque begins with 600 bytes.
        self._deltas: list[tuple[str, int]] = []
        self._bytes = 0
        self._deltas_max = deltas_max
        self._bytes_max = bytes_max

    def __len__(self) -> int:
        return len(self._deltas)

    @property
    def has_room(self) -> bool:
        """Another delta may be sent; a single one may be of any size."""
        return len(self._deltas) < self._deltas_max and self._bytes < self._bytes_max

    def sent(self, token: str, size_bytes: int) -> bool:
        """A delta with this token was sent; whether another may be."""
        deltas = self._deltas
        deltas.append((token, size_bytes))
        self._bytes = sent_bytes = self._bytes + size_bytes
        return len(deltas) < self._deltas_max and sent_bytes < self._bytes_max

    def acknowledge(self, token: str) -> bool:
        """Forget the delta with this token and all before it; False if there is none."""
        for index, (each, _) in enumerate(self._deltas):
            if each == token:
                self._bytes -= sum(size_bytes for _, size_bytes in self._deltas[: index + 1])
                del self._deltas[: index + 1]
                return True
        return False

    def clear(self) -> None:
        """The stream starts anew."""
        self._deltas.clear()
        self._bytes = 0
