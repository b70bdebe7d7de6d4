"""An engine for each strength that is in use: opened once, shared by threads, opened again in another process."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from making import natural, save_pair

from espcn_cli.engines.engine import Engine
from espcn_cli.engines.opening import open_engine
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.network.checkpoint import Weights
from espcn_cli.network.mixing import Pair, read_pair
from espcn_cli.settings import ModelSettings
from espcn_cli.upscaling.mixture import Mixture

PHOTO = natural(20, 16)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return read_pair(*save_pair(tmp_path))


def counting(opened: list[int], settings: ModelSettings, weights: Weights, ranges: Ranges, steady: bool) -> Engine:
    opened.append(1)
    return open_engine(settings, weights, "cpu", ranges=ranges)


def test_each_strength_is_opened_once_whoever_asks(pair: Pair) -> None:
    opened: list[int] = []
    mixture = Mixture(pair, partial(counting, opened))
    assert not opened
    strengths = [0, 0.5, 0.49, 1, 0.55] * 20  # three of them, in eighths
    with ThreadPoolExecutor(8) as threads:
        engines = list(threads.map(mixture.engine, strengths))
    assert len(opened) == len({id(engine) for engine in engines}) == 3


def test_a_strength_between_gives_pictures_of_its_own(pair: Pair) -> None:
    mixture = Mixture(pair, partial(open_engine, device="cpu"))
    results = [mixture.engine(strength).upscale([PHOTO], 0, 255)[0].astype(int) for strength in (0, 0.5, 1)]
    clean, half, real = results
    assert not np.array_equal(clean, real)
    assert np.abs(half - clean).mean() < np.abs(real - clean).mean()


def test_a_mixture_goes_to_another_process(pair: Pair) -> None:
    mixture = Mixture(pair, partial(open_engine, device="cpu"))
    mixture.engine(0.5)
    copy = pickle.loads(pickle.dumps(mixture))
    assert np.array_equal(copy.engine(0.5).upscale([PHOTO], 0, 255)[0], mixture.engine(0.5).upscale([PHOTO], 0, 255)[0])
