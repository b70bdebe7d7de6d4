"""Time and memory of one upsampling layer, computed in the ways that give the same output.

    python benchmarks/upsampling.py [--device cuda] [--json] [--plot upsampling.png]

The map is a nearest-neighbour resize followed by a convolution in HR, because that is the only one that all can
compute: resize-then-convolve has fewer free weights than the other forms, so most sub-pixel kernels have no such
factors, while each of its kernels is some sub-pixel kernel. With r·(k-1) + 1 taps in HR it is exactly a sub-pixel
convolution with k × k taps in LR. A second map, marked by `other map`, is the resize followed by k × k taps in HR: as
many multiply-adds as the sub-pixel convolution, as it is commonly used, but another and smaller layer. Every output is
compared with the definition in float64 before anything is timed.

All forms take turns in each round, in an order that changes from round to round, and a ratio is the median of the
rounds' ratios: what disturbs the machine disturbs all alike.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import accumulate
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from espcn_cli.network.subpixel import Deconvolution

Form = Callable[[Tensor], Tensor]

REFERENCE = "sub-pixel convolution"
OTHER_MAP = "nearest, then k × k (other map)"
TOLERANCE = 1e-4
"""Largest difference from the float64 output, as a part of that output's largest value."""

WARM_UP = 2
"""Rounds before the timed ones."""


@dataclass(frozen=True)
class Layer:
    """What is computed: (1, inputs, height, width) -> (1, outputs, height·scale, width·scale), k × k taps in LR."""

    name: str
    inputs: int
    outputs: int
    height: int
    width: int
    k: int
    scale: int


@dataclass(frozen=True)
class Row:
    """One form of one layer. Times in ms, memory in MiB.

    `ratio` is the time over the sub-pixel convolution's. `macs` are the multiply-adds per output value as written,
    zeros included. `memory` is the most that the form's tensors take at once beside input and weights, its output
    included, counted from their shapes; `measured_memory` is the peak of PyTorch's allocator, in which the library's
    copies in its own layout and its work space are included, as far as it takes them from there.
    """

    layer: Layer
    form: str
    milliseconds: float
    ratio: float
    macs: int
    memory: float
    measured_memory: float
    error: float


LAYERS = {
    "last layer": (32, 1, 180, 320),  # the paper's own place for it, at the size of a small video
    "inner layer": (32, 32, 90, 160),  # a decoder's
}
"""Name -> inputs, outputs, and LR height and width."""


def resize_convolution(weight: Tensor, bias: Tensor, scale: int) -> Form:
    """Nearest-neighbour upsampling, then a convolution in HR with zeros beyond the border; `weight` is (O, I, K, K)."""

    def apply(x: Tensor) -> Tensor:
        return F.conv2d(F.interpolate(x, scale_factor=scale, mode="nearest"), weight, bias, padding="same")

    return apply


def as_deconvolution(weight: Tensor, bias: Tensor, scale: int) -> Deconvolution:
    """The same map as `resize_convolution`, for odd K.

    Each LR pixel prints the turned kernel once for each HR pixel of its block. The prints add up to a kernel of
    K + scale - 1 taps per axis, cut by (K - 1)/2 at the start.
    """
    box = torch.ones(1, 1, scale, scale, dtype=weight.dtype)
    o, i, size, _ = weight.shape
    turned = weight.flip(2, 3).transpose(0, 1).reshape(o * i, 1, size, size)
    summed = F.conv2d(turned, box, padding=scale - 1)
    return Deconvolution(summed.view(i, o, *summed.shape[2:]), bias, scale, (size - 1) // 2)


@dataclass(frozen=True, eq=False)
class Case:
    """One form to time, the same map in float64 on the CPU, and what `Row` says of its cost."""

    form: Form
    exact: Deconvolution
    macs: int
    memory: float


def cases(layer: Layer, device: torch.device) -> dict[str, Case]:
    """All forms of one random layer by name, in float32 on the device; the costs are counted from the shapes."""
    r, k = layer.scale, layer.k
    hr = layer.height * layer.width * r**2
    padded = layer.inputs * (layer.height + k - 1) * (layer.width + k - 1)
    stuffed = layer.inputs * (layer.height * r + k * r - 1) * (layer.width * r + k * r - 1)
    upsampled, planes = layer.inputs * hr, layer.outputs * hr  # the shuffled output is as large as its planes

    resized, exact = random_map(layer, r * (k - 1) + 1, device)
    bias = None if exact.bias is None else exact.bias.float().to(device)
    transposed = Deconvolution(exact.weight.float().to(device), bias, r, exact.padding)
    smaller, exact_smaller = random_map(layer, k, device)

    def case(form: Form, taps: int, *held: int, map_: Deconvolution = exact) -> Case:
        return Case(form, map_, layer.inputs * taps**2, 4 * max(held) / 2**20)

    return {
        REFERENCE: case(transposed.to_subpixel(), k, padded + planes, 2 * planes),
        "transposed convolution": case(transposed, k, planes),
        "zero-stuffing, then kr × kr": case(transposed.to_fractional(), k * r, upsampled + stuffed, stuffed + planes),
        "nearest, then convolution": case(resized, r * (k - 1) + 1, upsampled + planes),
        OTHER_MAP: case(smaller, k, upsampled + planes, map_=exact_smaller),
    }


def random_map(layer: Layer, size: int, device: torch.device) -> tuple[Form, Deconvolution]:
    """A random resize-then-convolve with size × size taps in HR, and the same map exactly."""
    generator = torch.Generator().manual_seed(size)
    shape = (layer.outputs, layer.inputs, size, size)
    weight = torch.randn(shape, generator=generator, dtype=torch.float64) / (layer.inputs * size**2) ** 0.5
    bias = torch.randn(layer.outputs, generator=generator, dtype=torch.float64)
    form = resize_convolution(weight.float().to(device), bias.float().to(device), layer.scale)
    return form, as_deconvolution(weight, bias, layer.scale)


def seconds(form: Form, x: Tensor) -> float:
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    start = time.perf_counter()
    form(x)
    if x.is_cuda:
        torch.cuda.synchronize(x.device)
    return time.perf_counter() - start


def peak_memory(form: Form, x: Tensor) -> float:
    """MiB that PyTorch's allocator gives out at most while the form runs, beyond what was there before."""
    if not x.is_cuda:
        return cpu_peak_memory(form, x)
    torch.cuda.synchronize(x.device)
    torch.cuda.reset_peak_memory_stats(x.device)
    before = torch.cuda.memory_allocated(x.device)
    form(x)
    torch.cuda.synchronize(x.device)
    return (torch.cuda.max_memory_allocated(x.device) - before) / 2**20


def cpu_peak_memory(form: Form, x: Tensor) -> float:
    """The same from the profiler's record of each allocation (positive) and release (negative)."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        out = form(x)
    assert profile.profiler is not None
    assert profile.profiler.kineto_results is not None
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    del out  # kept until here, so that its release is not in the record
    sizes: list[int] = [event.nbytes() for event in events]
    return max(accumulate(sizes)) / 2**20


@torch.inference_mode()
def measure(layer: Layer, device: torch.device, rounds: int) -> list[Row]:
    """One row per form, after all have been checked. Raises SystemExit if an output is wrong."""
    x = torch.randn(1, layer.inputs, layer.height, layer.width, generator=torch.Generator().manual_seed(1))
    here = x.to(device)
    todo = cases(layer, device)
    errors = check(layer, todo, x, here)
    times: dict[str, list[float]] = {name: [] for name in todo}
    shuffler = random.Random(0)
    for round_ in range(WARM_UP + rounds):
        for name in shuffler.sample(list(todo), len(todo)):
            elapsed = seconds(todo[name].form, here)
            if round_ >= WARM_UP:
                times[name].append(elapsed)
    return [
        Row(
            layer=layer,
            form=name,
            milliseconds=1e3 * statistics.median(times[name]),
            ratio=statistics.median(t / t0 for t, t0 in zip(times[name], times[REFERENCE], strict=True)),
            macs=case.macs,
            memory=case.memory,
            measured_memory=peak_memory(case.form, here),
            error=errors[name],
        )
        for name, case in todo.items()
    ]


def check(layer: Layer, todo: dict[str, Case], x: Tensor, here: Tensor) -> dict[str, float]:
    """Each form's largest difference from its exact output, as a part of that output's largest value."""
    outputs = {exact: exact(x.double()) for exact in {case.exact for case in todo.values()}}
    errors: dict[str, float] = {}
    for name, case in todo.items():
        expected = outputs[case.exact]
        errors[name] = ((case.form(here).cpu().double() - expected).abs().max() / expected.abs().max()).item()
        if errors[name] > TOLERANCE:
            raise SystemExit(f"{name} is off by {errors[name]:.1e} for {layer}")
    return errors


def conditions(device: torch.device, rounds: int) -> str:
    machine = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU thread(s)"
    )
    return (
        f"PyTorch {torch.__version__}, Python {platform.python_version()}, {machine}, float32, batch 1;"
        f" medians of {rounds} interleaved rounds"
    )


def table(rows: list[Row]) -> str:
    """Markdown, one line per row."""
    lines = [
        "| layer | scale | form | ms | time ratio | multiply-adds per value | MiB counted | MiB measured |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        layer = row.layer
        name = f"{layer.name}, {layer.inputs} → {layer.outputs}, {layer.width} × {layer.height}"
        time_ = f"{row.milliseconds:.3g}", f"{row.ratio:.2f}"
        memory = f"{row.memory:.1f}", f"{row.measured_memory:.1f}"
        cells = name, f"×{layer.scale}", row.form, *time_, str(row.macs), *memory
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(rows: list[Row], title: str, path: Path) -> None:
    """Bars of the time ratio, one picture per layer, on a logarithmic axis."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    names = list(dict.fromkeys(row.layer.name for row in rows))
    scales = sorted({row.layer.scale for row in rows})
    labels = list(dict.fromkeys(row.form for row in rows))
    figure, axes = plt.subplots(1, len(names), figsize=(6 * len(names), 4.5), squeeze=False, sharey=True)
    height = 0.8 / len(labels)
    for axis, name in zip(axes[0], names, strict=True):
        for place, label in enumerate(labels):
            ratios = [row.ratio for row in rows if row.layer.name == name and row.form == label]
            places = [i + place * height for i in range(len(scales))]
            bars = axis.barh(places, [ratio - 1 for ratio in ratios], height * 0.9, left=1, label=label)
            axis.bar_label(bars, [f"{ratio:.2f}" for ratio in ratios], padding=3, fontsize=8)
        axis.set(title=name, xlabel="time / time of the sub-pixel convolution", xscale="log")
        axis.set_yticks([i + 0.4 - height / 2 for i in range(len(scales))], [f"×{scale}" for scale in scales])
        axis.axvline(1, color="black", linewidth=0.8)
        axis.margins(x=0.15)
    axes[0][0].invert_yaxis()  # and with it the others, which share it
    handles, _ = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.suptitle(title, fontsize=8)
    figure.tight_layout(rect=(0, 0.09, 1, 1))
    figure.savefig(path, dpi=120)
    plt.close(figure)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the ways to compute one upsampling layer.")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default %(default)s)")
    parser.add_argument("--scale", type=int, nargs="+", default=[2, 3, 4], help="scales (default 2 3 4)")
    parser.add_argument(
        "--kernel", type=int, default=3, help="taps per axis in LR, k: odd, 3 or more (default %(default)s)"
    )
    parser.add_argument("--size", metavar="WxH", help="LR size for all layers, instead of each layer's own")
    parser.add_argument("--rounds", type=int, default=15, help="timed rounds (default %(default)s)")
    parser.add_argument("--threads", type=int, help="CPU threads (default: PyTorch's choice)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the time ratios (needs matplotlib)")
    options = parser.parse_args()
    if options.kernel < 3 or options.kernel % 2 == 0 or options.rounds < 1 or min(options.scale) < 2:
        parser.error("--kernel must be odd and at least 3, --rounds at least 1 and --scale at least 2")
    if options.size is not None:
        try:
            options.size = [int(side) for side in options.size.lower().split("x")]
            _width, _height = options.size
        except ValueError:
            parser.error("--size is WxH, as in 320x180")
    return options


def main() -> None:
    options = arguments()
    device = torch.device(options.device)
    if options.threads:
        torch.set_num_threads(options.threads)
    # Full float32 products on CUDA as well, and its fastest algorithm for each shape.
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = True
    rows: list[Row] = []
    for name, (inputs, outputs, height, width) in LAYERS.items():
        if options.size is not None:
            width, height = options.size
        for scale in sorted(set(options.scale)):
            print(f"{name} ×{scale} ...", file=sys.stderr)
            layer = Layer(name, inputs, outputs, height, width, options.kernel, scale)
            rows += measure(layer, device, options.rounds)
    if options.json:
        print(
            json.dumps({"conditions": conditions(device, options.rounds), "rows": [asdict(r) for r in rows]}, indent=1)
        )
    else:
        print(f"{table(rows)}\n\n{conditions(device, options.rounds)}")
    if options.plot is not None:
        plot(rows, conditions(device, options.rounds), options.plot)


if __name__ == "__main__":
    main()
