"""The light engine: OpenVINO, on a CPU or an Intel GPU. One graph from levels to levels, without PyTorch."""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from espcn_cli import cores
from espcn_cli.engines import openvino_runtime as runtime
from espcn_cli.engines.engine import SMALL, NotFiniteError, arithmetic_of
from espcn_cli.engines.openvino_graph import HIDDEN, Blueprint, Form, build
from espcn_cli.engines.shelf import Shelf, Size, room_in
from espcn_cli.maths.colour import HALVED_REACH, SLOPE_REACH
from espcn_cli.maths.levels import Levels
from espcn_cli.maths.quantisation import Ranges
from espcn_cli.memory import available_memory
from espcn_cli.network.checkpoint import Weights
from espcn_cli.settings import BICUBIC_REACH, ModelSettings

WINDOW = 2**19
"""LR pixels of a window of 32 planes or fewer: smaller ones take longer in all, larger ones more memory."""

PLANES = 32

SHELF: Shelf[Any] = Shelf(room_in(available_memory()))
"""The compiled graphs of all engines of this process: each strength of a mixture has its own."""

runtime.before_forks(SHELF.clear)


class OpenVinoEngine:
    """A network in OpenVINO; see `TorchEngine` for what it does with colours. Threads may share it.

    `device` is OpenVINO's name of one, `precision` that of the hidden layers: interpolation, the last layer and all
    that is done with levels stay in fp32. In int8 all layers are done in bytes, by the `ranges` of what goes into them,
    but for pictures of 16 bits. Graphs are compiled when windows first ask for them, and what comes out is the same to
    the byte whichever graph does the work.
    """

    def __init__(
        self,
        settings: ModelSettings,
        weights: Weights,
        device: str = "CPU",
        precision: str = "fp32",
        ensemble: bool = False,
        of_halved: bool = False,
        ranges: Ranges = (),
    ) -> None:
        self.device = device
        self.precision = precision
        rough = precision in runtime.HALVES
        self._blueprint = Blueprint(settings, weights, ensemble, of_halved, rough, ranges)
        self._halved: Any = self if of_halved else None
        weakref.finalize(self, _forget, self._blueprint).atexit = False

    @property
    def settings(self) -> ModelSettings:
        return self._blueprint.settings

    @property
    def halo(self) -> int:
        """RGB needs the reach of bicubic and of the slopes at least."""
        slopes = HALVED_REACH if self._blueprint.halved else SLOPE_REACH
        return max(self.settings.halo, BICUBIC_REACH, slopes)

    @property
    def window(self) -> int:
        return WINDOW * PLANES // max(self._widest, PLANES)

    @property
    def takes_padded(self) -> bool:
        return False

    @property
    def together(self) -> int:
        return 1

    @property
    def arithmetic(self) -> str:
        return arithmetic_of(self.precision, self._blueprint.ensemble)

    @property
    def _widest(self) -> int:
        return max(self.settings.channels)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._made_with(self.precision, self._blueprint.halved)

    def exact(self) -> Self:
        """The same network in fp32; itself if it is in fp32."""
        if self.precision == "fp32":
            return self
        return type(self)(*self._made_with("fp32", self._blueprint.halved))

    def halved(self) -> Self:
        """The same network for RGB whose chroma was held at half the resolution."""
        with runtime.LOCK:
            if self._halved is None:
                self._halved = type(self)(*self._made_with(self.precision, halved=True))
            halved: Self = self._halved
            return halved

    def _made_with(self, precision: str, halved: bool) -> tuple[Any, ...]:
        plan = self._blueprint
        ranges = plan.ranges if precision == "int8" else ()
        return plan.settings, plan.weights, self.device, precision, plan.ensemble, halved, ranges

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        """Windows (H, W, 1 or 3) through the network: small ones side by side on a CPU, each on a thread of its own.

        Raises NotFiniteError if it gives NaN or infinity.
        """
        small = all(levels.shape[0] * levels.shape[1] <= SMALL for levels in windows)
        if len(windows) > 1 and small and self.device == "CPU" and cores.count() > 1:
            return self._side_by_side(windows, black, white)
        return [self._run(levels[None], _form(levels, black, white))[0] for levels in windows]

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        """A window by bicubic interpolation alone; any number of channels."""
        large: Levels = self._run(levels[None], _form(levels, black, white, network=False))[0]
        return large

    def planes(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """(N, 1 or 3, H, W) in [0, 1] -> the same, scale times larger, neither rounded nor clipped.

        Raises NotFiniteError if the network gives NaN or infinity.
        """
        form = Form(x.shape[1], "float32")
        results: list[NDArray[np.float32]] = [self._run(picture[None], form) for picture in x]
        return np.concatenate(results)

    def _run(self, x: NDArray[Any], form: Form) -> NDArray[Any]:
        size = x.shape[-2:] if form.is_planes else x.shape[1:3]
        with runtime.LOCK:
            request = SHELF.get((self._blueprint, form, self.precision), size, self._widest, partial(self._make, form))
            request.infer([np.ascontiguousarray(x)], share_inputs=True)
            return self._result(request)

    def _side_by_side(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        results: list[Levels] = []
        under_way: deque[Any] = deque()
        with runtime.LOCK:
            try:
                for levels in windows:
                    if len(under_way) == cores.count():
                        results.append(self._result(under_way.popleft())[0])
                    form = _form(levels, black, white)
                    kind, make = (self._blueprint, form, self.precision, "side by side"), partial(self._make_all, form)
                    requests = SHELF.get(kind, levels.shape[:2], self._widest, make)
                    free = next(request for request in requests if request not in under_way)
                    free.start_async([np.ascontiguousarray(levels[None])], share_inputs=True)
                    under_way.append(free)
                while under_way:
                    results.append(self._result(under_way.popleft())[0])
            finally:
                for request in under_way:  # nothing may be at work any more when others take the lock
                    request.wait()
        return results

    def _result(self, request: Any) -> NDArray[Any]:
        """What a request has made, or is about to. Raises NotFiniteError."""
        request.wait()
        large, total = (request.get_output_tensor(index).data for index in (0, 1))
        if not np.isfinite(total):
            raise NotFiniteError(f"{self.precision} overflows on this picture")
        copy: NDArray[Any] = large.copy()
        return copy

    def _make(self, form: Form, size: Size) -> Any:
        return runtime.request(self._model(form, size), self.device, self.precision, HIDDEN)

    def _make_all(self, form: Form, size: Size) -> list[Any]:
        return runtime.requests(self._model(form, size), self.precision, HIDDEN)

    def _model(self, form: Form, size: Size) -> Any:
        plan = self._blueprint
        if form.dtype == "uint16":  # 16 bits deserve more than bytes, and some of such graphs cannot be made
            plan = replace(plan, ranges=())
        return build(plan, form, (1, form.channels, *size) if form.is_planes else (1, *size, form.channels))


def _form(levels: Levels, black: int, white: int, network: bool = True) -> Form:
    dtype = "uint8" if levels.dtype == np.uint8 else "uint16"
    return Form(levels.shape[2], dtype, black, white, network)  # type: ignore[arg-type]


def _forget(blueprint: Blueprint) -> None:
    with runtime.LOCK:
        SHELF.forget(lambda kind: kind[0] is blueprint)  # type: ignore[index]
