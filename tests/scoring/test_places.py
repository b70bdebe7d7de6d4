"""Where two pictures differ most."""

from __future__ import annotations

import torch

from espcn_cli.scoring.places import most_different


def test_the_place_is_found_and_the_next_ones_do_not_overlap_it() -> None:
    a = torch.zeros(1, 3, 96, 120)
    b = a.clone()
    b[..., 40:56, 64:80] = 1
    b[..., 8:24, 8:24] = 0.5
    assert most_different(a, b, 16, 16, 2) == [(64, 40, 16, 16), (8, 8, 16, 16)]
    assert len(most_different(a, b, 48, 48, 9)) <= 4


def test_a_picture_that_is_smaller_than_a_place_is_the_place() -> None:
    a = torch.rand(1, 1, 7, 40)
    assert most_different(a, a, 80, 80, 3) == [(0, 0, 40, 7)]
