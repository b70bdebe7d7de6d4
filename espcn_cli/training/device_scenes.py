"""Patches of a pool's scenes, cut out of a GPU's memory."""

from __future__ import annotations

import torch
from torch import Tensor

from espcn_cli.training.parallel import WHOLE
from espcn_cli.training.patches import DEVICE_SHARE, gathered
from espcn_cli.training.pool import Pool, ScenePatches
from espcn_cli.training.scenes import SIDE, Scene


def fits_scenes(pool: Pool, scale: int, device: torch.device) -> bool:
    """Whether this is a GPU, and a full pool takes no more of its memory than it may."""
    if device.type != "cuda":
        return False
    each = pool.planes * (SIDE**2 + (SIDE // scale) ** 2)
    return pool.most * each < DEVICE_SHARE * torch.cuda.mem_get_info(device)[0]


class DeviceScenePatches(ScenePatches):
    """The same patches as `ScenePatches` cuts, all at once: each scene goes to the device once.

    A scene's place there is its number, modulo as many as the pool may hold.
    """

    def __init__(
        self,
        pool: Pool,
        scale: int,
        patch: int,
        batch: int,
        candidates: int = 1,
        turns_of: int = 1,
        *,
        device: torch.device,
    ) -> None:
        super().__init__(pool, scale, patch, batch, candidates, turns_of)
        self.planes = pool.planes
        self.lr, self.hr = (
            torch.zeros(pool.most, self.planes, side, side, dtype=torch.uint8, device=device)
            for side in (SIDE // scale, SIDE)
        )
        self.held: dict[int, int] = {}
        """Of each place, the number of the scene that is there."""

    def draw(self, generator: torch.Generator, step: int, share: slice = WHOLE) -> tuple[Tensor, Tensor]:
        rows = []
        for number, scene, *corner, turn in self.places(generator, step, share):
            place = number % self.pool.most
            if self.held.get(place) != number:
                self._put(place, scene)
                self.held[place] = number
            rows.append([place, *corner, turn])
        at = torch.tensor(rows).to(self.hr.device)
        places, corners, turns = at[:, 0], at[:, 1:3], at[:, 3]
        return self._gather(self.lr, places, corners, turns), self._gather(self.hr, places, corners, turns)

    def _put(self, place: int, scene: Scene) -> None:
        for side, levels in ((self.lr, scene.lr), (self.hr, scene.hr)):
            _, height, width = levels.shape
            side[place, :, :height, :width] = levels.to(side.device)

    def _gather(self, buffer: Tensor, places: Tensor, corners: Tensor, turns: Tensor) -> Tensor:
        """Patches (batch, planes, side, side) in [0, 1]."""
        r = buffer.shape[-1] * self.scale // SIDE
        sizes = torch.tensor(buffer.shape[-2:], device=buffer.device).expand(len(places), 2)
        starts = places * buffer[0].numel()
        return gathered(buffer.view(-1), starts, sizes, corners * r, turns, self.patch * r, self.planes)
