"""Which network a set of named tensors is: by their keys and shapes, and by nothing else.

A file of tensors holds no activations, and a transposed convolution's stride is not in it: what can be one of several
is given back as several, and `foreign.choose` tells which one makes pictures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import isqrt

from espcn_cli.errors import EspcnError
from espcn_cli.exchange.foreign import Array, Foreign, Layer, Range, relu
from espcn_cli.settings import SCALES, LastActivation

Tensors = Mapping[str, Array]

KNOWN = (
    "ESPCN (of yjn870, Lornatang, leftthomas or PyTorch's examples)",
    "FSRCNN (of yjn870)",
    "Compact (SRVGGNetCompact)",
    "waifu2x upconv_7",
)
"""What is recognised, in words for whoever has something else."""

LEAKY = 0.1
"""The slope of waifu2x's ReLUs, and of a Compact's where it is fixed."""

LAST: tuple[LastActivation, ...] = ("none", "tanh", "sigmoid")
"""What an ESPCN can end in."""


@dataclass(frozen=True)
class Form:
    """A known network: it is one if all `marks` are among the keys, and then `read` says which ones it can be."""

    name: str
    marks: tuple[str, ...]
    read: Callable[[Keys], list[Foreign]]


class Keys:
    """The tensors of a file, each of which has to be asked for exactly once."""

    def __init__(self, tensors: Tensors, form: str) -> None:
        self.tensors = tensors
        self.form = form
        self.left = set(tensors)

    def take(self, name: str, dimensions: int) -> Array:
        """Raises EspcnError if it is not there, or not of so many dimensions."""
        if name not in self.tensors:
            raise EspcnError(f"it looks like {self.form}, but lacks the tensor {name}")
        self.left.discard(name)
        array = self.tensors[name]
        if array.ndim != dimensions or not array.size or (dimensions == 4 and array.shape[2] != array.shape[3]):
            raise EspcnError(f"it looks like {self.form}, but its tensor {name} has the shape {array.shape}")
        return array

    def bias(self, name: str) -> Array | None:
        return self.take(f"{name}.bias", 1) if f"{name}.bias" in self.tensors else None

    def layer(
        self, name: str, activation: LastActivation = "none", slopes: Array | None = None, padded: bool = True
    ) -> Layer:
        """A plain convolution and what follows it."""
        weight = self.take(f"{name}.weight", 4)
        pads = (weight.shape[-1] - 1) // 2 if padded else 0
        return self._checked(name, Layer(weight, self.bias(name), activation, slopes, pads))

    def transposed(self, name: str, stride: int, pads: int, extra: int) -> Layer:
        layer = Layer(self.take(f"{name}.weight", 4), self.bias(name), pads=pads, stride=stride, extra=extra)
        return self._checked(name, layer)

    def _checked(self, name: str, layer: Layer) -> Layer:
        for values, what in ((layer.bias, "biases"), (layer.slopes, "slopes")):
            if (
                values is not None
                and len(values) != layer.outputs
                and not (values is layer.slopes and len(values) == 1)
            ):
                raise EspcnError(f"it looks like {self.form}, but {name} has {len(values)} {what}")
        return layer

    def check_all_taken(self) -> None:
        if self.left:
            raise EspcnError(
                f"it looks like {self.form}, but has a tensor {min(self.left)} that this has not: another version?"
            )


def recognise(tensors: Tensors) -> list[Foreign]:
    """All that the tensors can be, which differ in what a file of tensors does not hold.

    Raises EspcnError, without a file's name, if it is nothing that is known here, or only half.
    """
    plain = {name.removeprefix("module."): array for name, array in tensors.items() if name != "n_averaged"}
    for form in FORMS:
        if all(mark in plain for mark in form.marks):
            keys = Keys(plain, form.name)
            found = form.read(keys)
            keys.check_all_taken()
            return found
    first = ", ".join(sorted(plain)[:2])
    raise EspcnError(f"it is no network that is known here (it has {first}, ...): these are {', '.join(KNOWN)}")


# --- ESPCN -----------------------------------------------------------------------------------------------------------


def _espcn(names: tuple[str, ...], form: str, range: Range, hidden: tuple[LastActivation, ...]) -> Form:
    """An ESPCN whose convolutions have these names; `hidden` are the activations that its versions have."""

    def read(keys: Keys) -> list[Foreign]:
        found = []
        for kind, last in product(hidden, LAST):
            slopes = relu() if kind == "prelu" else None
            layers = [keys.layer(name, kind, slopes) for name in names[:-1]]
            layers.append(keys.layer(names[-1], last))
            found.append(Foreign(form, tuple(layers), _phases(layers, form), range=_range_of(layers, range)))
        return found

    return Form(form, tuple(f"{name}.weight" for name in names), read)


def _range_of(layers: list[Layer], luma: Range) -> Range:
    """The range that a network's makers have luma in; RGB is always in full range."""
    return luma if layers[0].inputs == 1 else "full"


def _phases(layers: list[Layer], form: str) -> int:
    """The scale: a last layer has as many channels as each plane has phases."""
    planes, channels = layers[0].inputs, layers[-1].outputs
    scale = isqrt(channels // planes)
    if scale**2 * planes != channels:
        raise EspcnError(f"it looks like {form}, but its last layer has {channels} channels for {planes} planes")
    return scale


# --- FSRCNN ----------------------------------------------------------------------------------------------------------


def _fsrcnn(keys: Keys) -> list[Foreign]:
    """Wide, narrow, narrow ..., wide, each with slopes per channel, then a transposed convolution of any stride."""
    names = [
        ("first_part.0", "first_part.1"),
        *((f"mid_part.{i}", f"mid_part.{i + 1}") for i in _even(keys, "mid_part")),
    ]
    layers = [keys.layer(name, "prelu", keys.take(f"{slopes}.weight", 1)) for name, slopes in names]
    pads = keys.take("last_part.weight", 4).shape[-1] // 2
    return [
        Foreign(
            keys.form,
            (*layers, keys.transposed("last_part", scale, pads, scale - 1)),
            scale,
            range=_range_of(layers, "studio"),
        )
        for scale in SCALES
    ]


def _even(keys: Keys, prefix: str) -> Iterator[int]:
    """0, 2, 4, ... as long as there is such a convolution."""
    index = 0
    while f"{prefix}.{index}.weight" in keys.tensors:
        yield index
        index += 2


# --- Compact ---------------------------------------------------------------------------------------------------------


def _compact(keys: Keys) -> list[Foreign]:
    """3×3 convolutions, each with its activation but for the last, whose phases are added to the nearest pixel.

    Our own networks have the same names: without their metadata nothing tells their activation and skip.
    """
    indices = list(_even(keys, "body"))
    learned = "body.1.weight" in keys.tensors
    slope_each = not learned or len(keys.tensors["body.1.weight"]) == len(keys.tensors["body.0.weight"])
    if keys.tensors["body.0.weight"].shape[1:] != (3, 3, 3) or not slope_each:
        raise EspcnError(
            "it has the tensors of a checkpoint of espcn, but not its metadata: use the file as it was saved"
        )
    kinds = [None] if learned else [relu(), relu(LEAKY)]
    found = []
    for fixed in kinds:
        layers = []
        for index in indices[:-1]:
            slopes = keys.take(f"body.{index + 1}.weight", 1) if fixed is None else fixed
            layers.append(keys.layer(f"body.{index}", "prelu", slopes))
        layers.append(keys.layer(f"body.{indices[-1]}"))
        found.append(Foreign(keys.form, tuple(layers), _phases(layers, keys.form), "nearest"))
    if found[0].scale == 1:
        raise EspcnError("it is a Compact that does not make pictures larger (x1): there is nothing to import")
    return found


# --- waifu2x ---------------------------------------------------------------------------------------------------------


def _upconv_7(keys: Keys) -> list[Foreign]:
    layers = [keys.layer(f"net.{index}", "prelu", relu(LEAKY), padded=False) for index in range(0, 12, 2)]
    return [Foreign(keys.form, (*layers, keys.transposed("net.12", 2, 3, 0)), 2)]


FORMS = (
    _espcn(("first_part.0", "first_part.2", "last_part.0"), "ESPCN of yjn870", "studio", ("tanh",)),
    _espcn(("feature_maps.0", "feature_maps.2", "sub_pixel.0"), "ESPCN of Lornatang", "studio", ("tanh",)),
    _espcn(
        ("conv1", "conv2", "conv3", "conv4"),
        "ESPCN of leftthomas or of PyTorch's examples",
        "full",
        ("tanh", "prelu"),
    ),
    Form("FSRCNN of yjn870", ("first_part.0.weight", "mid_part.0.weight", "last_part.weight"), _fsrcnn),
    Form("waifu2x upconv_7", ("net.0.weight", "net.10.weight", "net.12.weight"), _upconv_7),
    Form("Compact (SRVGGNetCompact)", ("body.0.weight", "body.2.weight"), _compact),
)
