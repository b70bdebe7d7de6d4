"""The contract between pictures and networks: whole levels in, whole levels out, whatever library does the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

from espcn_cli.errors import EspcnError
from espcn_cli.maths.levels import Levels
from espcn_cli.settings import ModelSettings

SMALL = 2**14
"""Pixels of a window that one thread works on: threads that share one out wait for each other after each layer.

Several such windows in one call go side by side.
"""


class NotFiniteError(ArithmeticError):
    """A network gave NaN or infinity: half precision overflows, or a training has diverged."""


class Engine(Protocol):
    """A network ready to run: windows of whole levels -> the same windows, scale times larger, in the same dtype.

    Windows are (H, W, 1) grey or (H, W, 3) RGB, uint8 or uint16; `black` and `white` are the levels of 0 and 1, and
    results are rounded once, to the nearest level, and clipped to the bits that `white` takes. All that turns levels
    into levels is in here: luma, network, ensemble, bicubic chroma, phase shift. An engine never changes.
    """

    @property
    def settings(self) -> ModelSettings:
        """What the network is."""

    @property
    def halo(self) -> int:
        """LR pixels of context to each side that an output pixel depends on, or more."""

    @property
    def window(self) -> int:
        """LR pixels of a window that suit it best, halo included; more take more memory."""

    @property
    def takes_padded(self) -> bool:
        """Whether padded windows (see `maths.levels`) cost it less than others; their results are padded too."""

    @property
    def together(self) -> int:
        """Windows as large as a video's frame that are worth a call: one where each keeps all of it busy."""

    @property
    def arithmetic(self) -> str:
        """What results depend on beside settings and weights: `fp32`, `int8`, `bf16, ensemble`; of two passes, both."""

    def upscale(self, windows: Sequence[Levels], black: int, white: int) -> list[Levels]:
        """The windows through the network. Raises NotFiniteError if it gives NaN or infinity."""

    def interpolate(self, levels: Levels, black: int, white: int) -> Levels:
        """A window by bicubic interpolation alone; any number of channels."""

    def exact(self) -> Self:
        """The same network in fp32, for what overflows in half precision; itself if it is in fp32."""

    def halved(self) -> Self:
        """The same network for RGB whose chroma was held at half the resolution, as in most JPEGs; the same each time.

        What chroma has lost there is taken from luma, as far as it goes with luma.
        """


@runtime_checkable
class PlaneEngine(Engine, Protocol):
    """An engine with one door more, unrounded: floats in, floats out."""

    def planes(self, x: Any) -> Any:
        """(N, 1 or 3, H, W) in [0, 1] -> the same, scale times larger, neither rounded nor clipped.

        float32, a tensor or an array, as the engine has it. Raises NotFiniteError as `upscale` does.
        """


E = TypeVar("E", bound=Engine)
T = TypeVar("T")


def arithmetic_of(precision: str, ensemble: bool) -> str:
    """An engine's `arithmetic`."""
    return f"{precision}, ensemble" if ensemble else precision


def highest(white: int) -> int:
    """The greatest level of as many bits as `white` takes: 235 -> 255, 940 -> 1023."""
    return (1 << white.bit_length()) - 1


def without_overflow(engine: E, work: Callable[[E], T]) -> tuple[T, list[str]]:
    """Do `work` with an engine or, where half precision overflows on its way, from the start in fp32; and a note.

    So a picture's result depends neither on how it is cut nor on the pictures before it. Raises EspcnError if fp32
    does not suffice either: no picture is made of NaN.
    """
    try:
        return work(engine), []
    except NotFiniteError as error:
        note = f"{error}: done in fp32"
    try:
        return work(engine.exact()), [note]
    except NotFiniteError:
        raise EspcnError(
            "the model gives NaN or infinity on this picture: the training that made it went wrong"
        ) from None
