"""What may be broken is tried in a process of its own: a library that ends its process is a line of text then.

So is one that never comes back. The functions that are tried import what they need in their bodies.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

SECONDS = 120.0
"""How long a trial may take: PyTorch from a cold disk takes half a minute."""

LENGTH = 300
"""Characters of a message that are kept."""

PROGRAM = "import sys; sys.path[:] = {path!r}; from espcn_cli.reports import trial; trial.run({name!r}, {words!r})"

Tell = Callable[[Any], None]
"""What a function that is tried tells its results to, one after the other: whatever JSON holds."""


@dataclass(frozen=True)
class Trial:
    """What a function told, and why it did not get to its end; None if it did."""

    told: tuple[Any, ...]
    error: str | None


def alone(function: Callable[..., None], *words: Any, seconds: float = SECONDS) -> Trial:
    """Call one of this module's functions with a `Tell` and these words in a process of its own."""
    program = PROGRAM.format(path=sys.path, name=function.__name__, words=words)
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        late = None
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
            late = f"it did not come back within {seconds:.0f} s"
        except BaseException:
            process.kill()
            raise
    lines = [json.loads(line) for line in output.decode().splitlines(keepends=True) if line.endswith("\n")]
    ends = [line["end"] for line in lines if "end" in line]
    told = tuple(line["told"] for line in lines if "told" in line)
    return Trial(told, ends[0] if ends else late or _death(process.returncode))


def run(name: str, words: Sequence[Any]) -> None:
    """The other process: what the function tells goes to standard output as lines of JSON, and nothing else does."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # libraries print when they break

    def tell(**line: Any) -> None:
        channel.write(json.dumps(line) + "\n")
        channel.flush()

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            globals()[name](lambda value: tell(told=value), *words)
    except BaseException as error:  # whatever it is, it is the result
        tell(end=in_words(error))
    else:
        tell(end=None)
    os._exit(0)  # what is broken may not let go


def in_words(error: BaseException) -> str:
    """An error in one line."""
    return " ".join(str(error).split())[:LENGTH] or type(error).__name__


def _death(code: int) -> str:
    if code >= 0:
        return f"it ended its process (exit code {code})"
    name = next((each.name for each in signal.Signals if each == -code), f"signal {-code}")
    return f"it ended its process ({name})"


# --- what is tried ---------------------------------------------------------------------------------------------------


def imports(tell: Tell, modules: Sequence[str]) -> None:
    """Import each; tell its name before, and the error, if any, after it."""
    from importlib import import_module

    for name in modules:
        tell(name)
        try:
            import_module(name)
        except BaseException as error:
            tell(in_words(error))
        else:
            tell(None)


def faults_of(modules: Sequence[str]) -> dict[str, str]:
    """Why modules cannot be imported, for those that cannot. One that takes the process down does not stop the rest."""
    faults: dict[str, str] = {}
    left = list(modules)
    while left:
        trial = alone(imports, left)
        results = dict(zip(trial.told[::2], trial.told[1::2], strict=False))
        faults |= {name: error for name, error in results.items() if error is not None}
        if trial.error is None:
            break
        culprit = left[len(results)] if len(results) < len(left) else left[-1]
        faults[culprit] = trial.error
        left = left[left.index(culprit) + 1 :]
    return faults


def pillow(tell: Tell) -> None:
    """Tell the libraries below Pillow: name and version of each."""
    from PIL import features

    names = {
        "libjpeg_turbo": "libjpeg-turbo",
        "zlib_ng": "zlib-ng",
        "webp": "WebP",
        "avif": "AVIF",
        "jpg_2000": "OpenJPEG",
        "libtiff": "libtiff",
        "littlecms2": "Little CMS",
    }
    for feature, name in names.items():
        tell((name, features.version(feature) if features.check(feature) else None))


def openvino(tell: Tell) -> None:
    """Tell why OpenVINO does not work here, None where it does; then its devices by name."""
    from espcn_cli import cores
    from espcn_cli.engines import openvino_runtime

    cores.wait_passively()
    fault = openvino_runtime.fault()
    tell(fault)
    tell({} if fault else {device.lower(): openvino_runtime.name_of(device) for device in openvino_runtime.devices()})


def driver(tell: Tell) -> None:
    """Tell whether NVIDIA's driver finds a GPU."""
    from espcn_cli.engines.opening import driver_finds_gpu

    tell(driver_finds_gpu())


def pytorch(tell: Tell) -> None:
    """Tell what PyTorch has for GPUs: the version of CUDA that it was built for, and the names of those it finds."""
    import torch

    gpus = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    tell({"cuda": torch.version.cuda, "gpus": gpus if torch.cuda.is_available() else []})


def choices(tell: Tell) -> None:
    """Tell of each shipped model its name, its scale, and what it runs by or why by nothing."""
    from espcn_cli.engines.opening import decide_for
    from espcn_cli.errors import EspcnError
    from espcn_cli.network import named

    for _, card in named.list_shipped():
        try:
            tell((card.name, card.settings.scale, asdict(decide_for(card)), None))
        except EspcnError as error:
            tell((card.name, card.settings.scale, None, str(error)))


def models(tell: Tell) -> None:
    """Tell the folder of own models, how many there are by name, and what is wrong with files there."""
    from espcn_cli.network import named

    own = named.list_own()
    tell(str(named.models_folder()))
    tell([f"{each.name} x{each.card.settings.scale}" for each in own.models])
    tell([str(error) for error in own.troubles])
