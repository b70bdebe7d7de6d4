"""Scenes in a device's memory, with a CPU as the device: the same patches as are cut one by one."""

from __future__ import annotations

from functools import partial

import torch

from espcn_cli.training.device_scenes import DeviceScenePatches, fits_scenes
from espcn_cli.training.pool import FIRST, STEPS_PER_SCENE, Pool, ScenePatches
from espcn_cli.training.scenes import SIDE, Scene

CPU = torch.device("cpu")


def noise(number: int, planes: int = 1) -> Scene:
    """A scene of random levels; every third is smaller."""
    generator = torch.Generator().manual_seed(number)
    side = 48 if number % 3 == 2 else SIDE // 2
    lr = torch.randint(0, 256, (planes, side, side - 4), generator=generator, dtype=torch.uint8)
    return Scene.of(lr.repeat_interleave(2, 1).repeat_interleave(2, 2), lr)


def equal(one: tuple[torch.Tensor, torch.Tensor], other: tuple[torch.Tensor, torch.Tensor]) -> bool:
    return all(torch.equal(*sides) for sides in zip(one, other, strict=True))


def test_the_same_patches_as_on_a_cpu() -> None:
    """Of one plane and three, small and large, over more steps than the pool holds scenes."""
    for planes in (1, 3):
        pool = Pool(partial(noise, planes=planes), workers=1)
        pool.most = FIRST
        plain = ScenePatches(pool, 2, 24, 8, 2)
        device = DeviceScenePatches(pool, 2, 24, 8, 2, device=CPU)
        for step in (0, 3, 9, 10 * STEPS_PER_SCENE, 20 * STEPS_PER_SCENE):
            draws = [p.draw(torch.Generator().manual_seed(step), step) for p in (plain, device)]
            assert equal(*draws)
            for share in (slice(0, None, 2), slice(1, None, 2)):  # of two processes, each makes its own alone
                own = [p.draw(torch.Generator().manual_seed(step), step, share) for p in (plain, device)]
                assert equal(*own)
                assert equal(own[0], (draws[0][0][share], draws[0][1][share]))
            assert draws[0][1].shape == (8, planes, 24, 24)
        large = [p.of_size(192).draw(torch.Generator().manual_seed(1), 99) for p in (plain, device)]
        assert equal(*large)
        assert large[0][0].shape == (8, planes, 96, 96)
        pool.close()


def test_a_cpu_keeps_its_scenes_where_they_are() -> None:
    pool = Pool(noise, workers=1)
    assert not fits_scenes(pool, 2, CPU)
    pool.close()
