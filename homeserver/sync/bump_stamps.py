"""Stamps by which clients order things: positions, made small enough for JavaScript.

Spec: https://github.com/matrix-org/matrix-spec-proposals/pull/4186
"""

from homeserver.core.positions import EPOCH_MS, SEQUENCE_MAX, ms_of, sequence_of

__all__ = ["bump_stamp_of"]


def bump_stamp_of(position: int) -> int:
    """Make a stamp of a position: a whole number that JavaScript knows, in the same order.

    Positions have 63 bits; who wrote is left out, so that time and sequence number fit into 53.
    """
    if position <= 0:
        return 0
    return (ms_of(position) - EPOCH_MS) * (SEQUENCE_MAX + 1) + sequence_of(position)
