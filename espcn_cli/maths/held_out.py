"""Which pictures measure a training that has no others to be measured by."""

from __future__ import annotations

EVERY = 10


def held_out(count: int) -> range:
    """The places of every tenth of `count` things, or of the last if they are fewer: the same ones each time.

    25 -> 9, 19; 3 -> 2. Raises ValueError if none would be left to train on.
    """
    if count < 2:
        raise ValueError(f"{count} cannot be shared between training and measuring")
    return range(min(EVERY, count) - 1, count, EVERY)
