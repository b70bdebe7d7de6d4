"""Windows through a device that does three things at once: one comes up, another runs, and a third goes down."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol, TypeVar

Given = TypeVar("Given", contravariant=True)
There = TypeVar("There")
Made = TypeVar("Made")
Coming = TypeVar("Coming")
Taken = TypeVar("Taken", covariant=True)

DEPTH = 3
"""Windows under way at most: one for each of the three. More would only take memory."""


class Device(Protocol[Given, There, Made, Coming, Taken]):
    """What works beside the processor. Only `wait` waits: the others tell the device what to do, and come back."""

    def upload(self, given: Given) -> There:
        """Bring a window to the device."""

    def run(self, there: There) -> Made:
        """Work on it as soon as it is there."""

    def download(self, made: Made) -> Coming:
        """Fetch the result as soon as it is made."""

    def wait(self, coming: Coming) -> Taken:
        """Wait for a result. Raises what went wrong on its way."""


def through(
    device: Device[Given, There, Made, Coming, Taken], windows: Iterable[Given], depth: int = DEPTH
) -> Iterator[Taken]:
    """The results of all windows, in order; `depth` of them are under way at a time."""
    under_way: deque[Coming] = deque()
    for window in windows:
        if len(under_way) == depth:
            yield device.wait(under_way.popleft())
        under_way.append(device.download(device.run(device.upload(window))))
    while under_way:
        yield device.wait(under_way.popleft())
