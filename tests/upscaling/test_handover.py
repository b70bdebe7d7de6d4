"""Rows from one thread to another: all of them, in order, few at a time, and nobody waits for one who has gone."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from espcn_cli.maths.levels import Levels
from espcn_cli.upscaling.handover import WAITING, Handover


@pytest.fixture
def other() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


def band(number: int) -> Levels:
    return np.full((1, 1, 1), number, np.uint8)


def test_all_bands_come_in_order(other: ThreadPoolExecutor) -> None:
    handover: Handover[Levels] = Handover()
    found = other.submit(lambda: [int(each[0, 0, 0]) for each in handover])
    assert all(handover.put(band(number)) for number in range(50))
    handover.end()
    assert found.result(10) == list(range(50))


def test_few_wait(other: ThreadPoolExecutor) -> None:
    handover: Handover[Levels] = Handover()
    put = threading.Semaphore(0)

    def give() -> None:
        for number in range(10):
            handover.put(band(number))
            put.release()
        handover.end()

    done = other.submit(give)
    for _ in range(WAITING):
        assert put.acquire(timeout=10)
    time.sleep(0.05)
    assert not put.acquire(blocking=False)
    assert len(list(handover)) == 10
    done.result(10)


def test_an_error_arrives_at_once(other: ThreadPoolExecutor) -> None:
    handover: Handover[Levels] = Handover()
    found = other.submit(lambda: list(handover))
    handover.put(band(0))
    handover.end(KeyError("why"))
    with pytest.raises(KeyError, match="why"):
        found.result(10)


def test_who_has_left_holds_nobody_up(other: ThreadPoolExecutor) -> None:
    handover: Handover[Levels] = Handover()
    for number in range(WAITING):
        handover.put(band(number))
    waiting = other.submit(handover.put, band(9))
    handover.leave()
    assert waiting.result(10) is False
    assert not handover.put(band(10))
