"""Every default, written once, in frozen dataclasses that need no torch (so that `--help` can show them)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from typing import Any, Literal, get_args, get_origin, get_type_hints

Scale = Literal[2, 3, 4]
Planes = Literal["luma", "rgb"]
Activation = Literal["tanh", "prelu", "hardswish"]
LastActivation = Literal["none", "tanh", "prelu", "hardswish", "sigmoid"]
Border = Literal["zeros", "edge"]
Slopes = Literal["layer", "channel"]
Skip = Literal["none", "bicubic", "nearest"]
Loss = Literal["l1", "mse", "charbonnier"]
Optimiser = Literal["soap", "adam"]
Schedule = Literal["cosine", "linear", "constant"]
Cache = Literal["auto", "memory", "disk", "none"]
Degradation = Literal["bicubic", "area", "lanczos", "aliased", "camera", "real"]
Protocol = Literal["picture", "plane", "rgb", "full-range", "no-shave"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8"]
EngineName = Literal["auto", "torch", "openvino"]
Upsampler = Literal["subpixel", "deconvolution", "resize"]
Alpha = Literal["blend", "separate"]
Codec = Literal["auto", "h264", "hevc", "av1", "vp9", "ffv1", "source"]
"""Whatever is one of a few words. The command line takes no others, and shows them in its help."""

SCALES: tuple[Scale, ...] = get_args(Scale)
PLANES: dict[Planes, int] = {"luma": 1, "rgb": 3}
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
SKIPS: tuple[Skip, ...] = get_args(Skip)
LOSSES: tuple[Loss, ...] = get_args(Loss)
OPTIMISERS: tuple[Optimiser, ...] = get_args(Optimiser)
SCHEDULES: tuple[Schedule, ...] = get_args(Schedule)
CACHES: tuple[Cache, ...] = get_args(Cache)
DEGRADATIONS: tuple[Degradation, ...] = get_args(Degradation)
UPSAMPLERS: tuple[Upsampler, ...] = get_args(Upsampler)

CACHE_GIGABYTES = 20
"""What the pictures that trainings keep on the disk may take, or as much as the last one needs."""

BICUBIC_REACH = 2
"""LR pixels that bicubic upsampling looks to each side: its sub-pixel kernel is 5×5."""

MOST_PARAMETERS = 50_000_000
"""Far above any network of this family: what a file announces must not fill the memory before it is checked."""

MAX_PIXELS = 2**28
"""16384 × 16384; a file that claims more, in all its frames together, is refused unless the user allows it."""

DEFAULT_MODEL = "espcn-m"
"""What is trained, and measured on clean LR, unless another is named."""

REAL = "-real"
"""What the names of weights end in that are for pictures as people have them."""

DEFAULT_FOR_PICTURES = DEFAULT_MODEL + REAL
"""What makes pictures unless another is named; at a scale where it is not shipped, DEFAULT_MODEL."""

DEFAULT_SCALE: Scale = 2

PASSES: dict[int, tuple[Scale, Scale]] = {6: (2, 3), 8: (2, 4), 9: (3, 3), 12: (3, 4), 16: (4, 4)}
"""Scales that no network has, and the two networks that make them one after the other."""

STRENGTH_STEPS = 8
"""Steps between clean weights, strength 0, and real ones, strength 1: each that is in use is a network of its own."""


def check_choices(settings: Any) -> None:
    """Raises ValueError if a field of a dataclass that is one of a few words holds another."""
    for name, words in _choices(type(settings)).items():  # type: ignore[arg-type]  # mypy takes no class for hashable
        value = getattr(settings, name)
        if value not in words:
            raise ValueError(f"{name} must be one of {', '.join(words)}, not {value!r}")


@cache
def _choices(kind: type) -> dict[str, tuple[Any, ...]]:
    """The words of each field that is one of a few."""
    hints = get_type_hints(kind).items()
    return {name: get_args(hint) for name, hint in hints if get_origin(hint) is Literal}


@dataclass(frozen=True)
class ModelSettings:
    """Everything that determines a network: it travels in the checkpoint and rebuilds the network from there.

    `widths` are the channels of the hidden layers, `kernels` the odd kernel sizes of all layers (one more than
    `widths`). The last layer's planes·scale² channels go through the phase shift. `activation` follows every hidden
    layer: `tanh`, `prelu`, a leaky ReLU whose one slope per layer is learned, or `hardswish`, a ReLU with a soft knee
    (x·clip(x + 3, 0, 6)/6). `skip` is added to the last layer's output.

    What networks of others need: `last_activation` follows the last layer, before the skip; `slopes` of a prelu are one
    per `layer` or one per `channel` (a slope that its makers fixed is one per layer, too); black and white are the two
    values of `value_range` inside the network; and beyond the `border` of a picture each layer sees `zeros`, or the
    picture itself goes on with its `edge` pixels as far as the layers reach. Raises ValueError if the values do not
    make a network.
    """

    scale: int = DEFAULT_SCALE
    widths: tuple[int, ...] = (16,) * 11
    kernels: tuple[int, ...] = (3,) * 12
    activation: Activation = "hardswish"
    skip: Skip = "bicubic"
    planes: int = 1
    last_activation: LastActivation = "none"
    slopes: Slopes = "layer"
    value_range: tuple[float, float] = (0.0, 1.0)
    border: Border = "zeros"

    def __post_init__(self) -> None:
        if not isinstance(self.scale, int) or self.scale not in SCALES:
            raise ValueError(f"scale must be one of {SCALES}, not {self.scale!r}")
        if type(self.planes) is not int or self.planes not in PLANES.values():
            raise ValueError(f"planes must be 1 (luma) or 3 (RGB), not {self.planes!r}")
        check_choices(self)
        if not self.widths or not all(isinstance(w, int) and 1 <= w <= 4096 for w in self.widths):
            raise ValueError(f"widths must be whole numbers from 1 to 4096, not {self.widths!r}")
        if len(self.kernels) != len(self.widths) + 1:
            raise ValueError(f"kernels must be one more than widths, not {len(self.kernels)} for {len(self.widths)}")
        if not all(isinstance(k, int) and k % 2 == 1 and 1 <= k <= 31 for k in self.kernels):
            raise ValueError(f"kernels must be odd numbers from 1 to 31, not {self.kernels!r}")
        check_range(self.value_range, "value_range")
        if self.slopes == "channel" and "prelu" not in self.activations:
            raise ValueError("slopes per channel are a prelu's, and there is none")
        if self.parameters > MOST_PARAMETERS:
            raise ValueError(f"{self.parameters:,} parameters are more than {MOST_PARAMETERS:,}")

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels between the layers, from the input planes to what the phase shift receives."""
        return (self.planes, *self.widths, self.planes * self.scale**2)

    @property
    def halo(self) -> int:
        """LR pixels of context that an output pixel depends on, to each side (5-3-3: 2 + 1 + 1 = 4)."""
        return max(self.reach, BICUBIC_REACH) if self.skip == "bicubic" else self.reach

    @property
    def reach(self) -> int:
        """LR pixels that the layers alone look to each side."""
        return sum((k - 1) // 2 for k in self.kernels)

    @property
    def parameters(self) -> int:
        """Learned values: weights, biases and slopes; the fixed bicubic skip has none."""
        return sum(math.prod(shape) for shape in self.shapes.values())

    @property
    def activations(self) -> tuple[LastActivation, ...]:
        """What follows each layer, the last one included."""
        return (*(self.activation,) * len(self.widths), self.last_activation)

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """What a checkpoint holds: a kernel (O, I, k, k) and a bias (O) for each layer, and a prelu's slopes (1 or O).

        Every second index is an activation's.
        """
        channels = self.channels
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, (inputs, outputs, kernel) in enumerate(zip(channels[:-1], channels[1:], self.kernels, strict=True)):
            shapes[f"body.{2 * layer}.weight"] = (outputs, inputs, kernel, kernel)
            shapes[f"body.{2 * layer}.bias"] = (outputs,)
            if self.activations[layer] == "prelu":
                shapes[f"body.{2 * layer + 1}.weight"] = (1 if self.slopes == "layer" else outputs,)
        return shapes

    @property
    def macs(self) -> int:
        """Multiply-adds of the convolutions per LR pixel."""
        return sum(i * o * k**2 for i, o, k in zip(self.channels[:-1], self.channels[1:], self.kernels, strict=True))

    @property
    def is_new(self) -> bool:
        """Whether the settings need checkpoint format 2."""
        return self.skip == "nearest" or any(getattr(self, name) != usual for name, usual in _NEW.items())

    def to_dict(self) -> dict[str, Any]:
        """Every value by name; those of format 2 only where they are not as by default."""
        return {name: value for name, value in asdict(self).items() if name not in _NEW or value != _NEW[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ModelSettings:
        """Rebuild from `to_dict`'s values; a missing, unknown or impossible one is a ValueError."""
        names = {f.name for f in fields(cls)}
        if set(values) - _NEW.keys() != names - _NEW.keys():
            must = f"settings must have exactly {sorted(names - _NEW.keys())}, and may have {sorted(_NEW)}"
            raise ValueError(f"{must}, not {sorted(values)}")
        lists = {name for name in ("widths", "kernels", "value_range") if name in values}
        if not all(isinstance(values[name], (list, tuple)) for name in lists):
            raise ValueError("widths, kernels and value_range must be lists")
        return cls(**{**values, **{name: tuple(values[name]) for name in lists}})


_NEW = {name: getattr(ModelSettings, name) for name in ("last_activation", "slopes", "value_range", "border")}
"""The settings that came with checkpoint format 2, and what they are by default."""


def check_range(values: Any, name: str) -> None:
    """Raises ValueError for what is not two finite numbers, the second larger."""
    numbers = isinstance(values, tuple) and all(type(value) in (int, float) for value in values)
    if not (numbers and len(values) == 2 and -math.inf < values[0] < values[1] < math.inf):
        raise ValueError(f"{name} must be two numbers, the second larger")


ARCHITECTURES: dict[str, ModelSettings] = {
    "espcn": ModelSettings(widths=(64, 32), kernels=(5, 3, 3), activation="tanh", skip="none"),
    "espcn-s": ModelSettings(widths=(16,) * 5, kernels=(3,) * 6, activation="prelu"),
    "espcn-m": ModelSettings(widths=(16,) * 11, kernels=(3,) * 12),
    "espcn-l": ModelSettings(widths=(32,) * 11, kernels=(3,) * 12),
}


def architecture(name: str, scale: int = DEFAULT_SCALE, planes: int = 1) -> ModelSettings:
    """The settings of a named network at one scale. Raises ValueError for an unknown name."""
    if name not in ARCHITECTURES:
        raise ValueError(f"unknown architecture {name!r}; there are {', '.join(ARCHITECTURES)}")
    return replace(ARCHITECTURES[name], scale=scale, planes=planes)


def name_of(settings: ModelSettings) -> str:
    """The name of the network whose settings these are, whatever its scale and planes; `custom` for any other."""
    alike = (name for name in ARCHITECTURES if architecture(name, settings.scale, settings.planes) == settings)
    return next(alike, "custom")


def has_layers(settings: ModelSettings, model: ModelSettings) -> bool:
    """Whether a network has the same layers as a model, whatever its widths, activation, scale and planes."""
    return not settings.is_new and (settings.kernels, settings.skip) == (model.kernels, model.skip)


def has_name(settings: ModelSettings) -> bool:
    """Whether a named network has the same layers."""
    return any(has_layers(settings, model) for model in ARCHITECTURES.values())


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained. Recorded in the checkpoint, shown by `--help`, needed again to resume.

    The training ends after `steps`, or after `minutes` if that is not 0, or after `patience` validations without a
    better one (0: never). `patch_size` is in HR pixels and is rounded down to a multiple of the scale; each patch is
    the most detailed of `candidates` random ones. The learning rate rises linearly over `warmup` steps and falls to
    zero at the end on the `schedule`: half a cosine, or a line (`constant` stays). The last share `finish` of the
    training takes MSE loss and patches twice as large. `clip` is the greatest norm of the gradient (0: any).
    `expansion` is the inner width of the linear blocks beside the convolutions while training (0: none); they are
    merged when saved. `mixtures` is for the degradation `real`, from a start of the same form: each step's network is
    the start and the weights that are learned, mixed at the strength that the step's damage needs; real weights as a
    start go on being mixed with their clean sister. `quantise` is for a start of the same form, too: what goes into
    each layer, and its weights, are rounded to eight bits in every step.
    """

    steps: int = 20_000
    minutes: float = 0.0
    batch_size: int = 16
    patch_size: int = 96
    candidates: int = 2
    optimiser: Optimiser = "adam"
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    loss: Loss = "l1"
    degradation: Degradation = "bicubic"
    warmup: int = 200
    clip: float = 0.1
    finish: float = 0.0
    mixtures: bool = False
    quantise: bool = False
    patience: int = 0
    ema_decay: float = 0.999
    expansion: int = 128
    validate_every: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self)
        for name in ("steps", "batch_size", "patch_size", "candidates", "validate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate}")
        if not 0 <= self.ema_decay < 1:
            raise ValueError(f"ema_decay must be in [0, 1), not {self.ema_decay}")
        if not 0 <= self.finish <= 1:
            raise ValueError(f"finish must be a share of the training in [0, 1], not {self.finish}")
        for name in ("minutes", "warmup", "clip", "patience", "expansion"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"{name} must not be negative, but is {getattr(self, name)}")

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


BEFORE_SETTINGS = {"candidates": 1, "clip": 0.0}
"""How a network was trained whose checkpoint is older than a setting, where that is not as by default."""

SHEET_PICTURES = 32
"""Pictures on a contact sheet of the autoencoder's reconstructions."""


@dataclass(frozen=True)
class AutoencoderSettings:
    """The autoencoder for 28×28 grey pictures, and how it is trained: recorded in its checkpoint.

    `code` is the width of the code; `upsampler` how the decoder grows the picture, at the same multiply-adds
    (`parameters` differ): `subpixel` (the article's), `deconvolution` or `resize`. Raises ValueError for values that
    do not make a network or a training.
    """

    code: int = 64
    upsampler: Upsampler = "subpixel"
    epochs: int = 25
    batch_size: int = 256
    learning_rate: float = 1e-3
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self)
        if not isinstance(self.code, int) or not 1 <= self.code <= 4096:
            raise ValueError(f"code must be a whole number from 1 to 4096, not {self.code!r}")
        for name in ("epochs", "batch_size"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, not {getattr(self, name)!r}")
        if not isinstance(self.seed, int) or not 0 <= self.seed < 2**63:
            raise ValueError(f"seed must be a whole number from 0 to 2^63 - 1, not {self.seed!r}")
        if not isinstance(self.learning_rate, (int, float)) or not 0 < self.learning_rate < float("inf"):
            raise ValueError(f"learning_rate must be above 0, not {self.learning_rate!r}")

    @property
    def parameters(self) -> int:
        """Weights and biases of the whole network."""
        features = 7 * 7 * 32
        encoder = (9 * 1 * 16 + 16) + (9 * 16 * 32 + 32) + (features * self.code + self.code)
        decoder = self.code * features + features
        first, last = {
            "subpixel": (4 * 32 * 128 + 128, 4 * 32 * 4 + 4),  # 2×2 kernels, r² times the planes
            "deconvolution": (16 * 32 * 32 + 32, 16 * 32 * 1 + 1),  # 4×4 kernels
            "resize": (4 * 32 * 32 + 32, 4 * 32 * 1 + 1),  # 2×2 kernels, used at four times as many pixels
        }[self.upsampler]
        return encoder + decoder + first + last

    @property
    def macs(self) -> int:
        """Multiply-adds per picture of convolutions and dense layers, padding counted: alike for every upsampler."""
        encoder = 28 * 28 * (9 * 1 * 16) + 14 * 14 * (9 * 16 * 32) + 7 * 7 * 32 * self.code
        decoder = self.code * 7 * 7 * 32 + 7 * 7 * (4 * 32 * 128) + 14 * 14 * (4 * 32 * 4)
        return encoder + decoder

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AutoencoderSettings:
        """Rebuild from `to_dict`'s values; a missing, unknown or impossible one is a ValueError."""
        names = {f.name for f in fields(cls)}
        if set(values) != names:
            raise ValueError(f"settings must have exactly {sorted(names)}, not {sorted(values)}")
        return cls(**values)
