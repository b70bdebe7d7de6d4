"""One training as it was asked for: checked before anything is read."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from espcn_cli import files
from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination, existing, is_file, is_folder, is_there
from espcn_cli.network import checkpoint, mixing
from espcn_cli.scoring import layouts
from espcn_cli.settings import Cache, ModelSettings, TrainSettings, check_choices, has_layers, has_name
from espcn_cli.training import given_lr
from espcn_cli.training.events import Skipped
from espcn_cli.training.run_folder import RunFolder
from espcn_cli.training.scenes import SIDE


@dataclass(frozen=True)
class Job:
    """One training: which network, from which files, how, and where it goes; `workers` threads read the pictures.
    `drawings` are drawn more often than their number says, for `--degradation real` alone.
    `notes`: what lies beside the pictures and is not used. `lr`: HR -> LR, for training and validation pictures,
    where LR is given in a folder, `lr_folder`; `alone`: pictures that have none there.
    `init` is a checkpoint to start from: one of the same kind, at this or another scale, or a narrower one.

    Without `validation` pictures, a tenth of the usable ones is held out.
    """

    output: Path
    name: str
    model: ModelSettings
    settings: TrainSettings
    pictures: list[Path]
    validation: list[Path]
    drawings: list[Path] = field(default_factory=list)
    device: str = "auto"
    precision: str = "auto"
    license: str = ""
    workers: int | None = None
    init: Path | None = None
    cache: Cache = "auto"
    tensorboard: bool = False
    notes: list[str] = field(default_factory=list)
    lr_folder: Path | None = None
    lr: dict[Path, Path] = field(default_factory=dict)
    alone: list[Skipped] = field(default_factory=list)

    def __post_init__(self) -> None:
        check_choices(self)

    @property
    def patch(self) -> int:
        """HR pixels of a patch's side: a multiple of the scale."""
        return max(self.settings.patch_size // self.model.scale, 1) * self.model.scale


def make_job(
    sources: list[Path],
    output: Path,
    name: str,
    model: ModelSettings,
    settings: TrainSettings,
    valid: Path | None = None,
    drawings: Path | None = None,
    lr: Path | None = None,
    **options: Any,
) -> Job:
    """Look up the pictures; `options` are the rest of a `Job`.

    Raises EspcnError if there are none, if there is no telling which of them are HR, or if the output or its folder
    cannot go where they are to go, or would take the place of what the training starts from: better now than hours
    later.
    """
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: a checkpoint's name ends in .safetensors")
    check_destination(output)
    RunFolder.of(output).check()
    own = RunFolder.of(output).path.resolve()  # its sample and curves are no pictures to learn from
    check_lr(lr, settings)
    apart = [own, *([lr.resolve()] if lr else [])]
    found, notes = layouts.find_hr_files(sources, scale=model.scale)
    hr = [file for file in found if not any(folder in file.path.resolve().parents for folder in apart)]
    if not hr:
        raise EspcnError(f"no pictures in {', '.join(map(str, sources))}: name a folder with images")
    held, beside = layouts.find_hr_files([valid] if valid else [], scale=model.scale)
    if valid and not held:
        raise EspcnError(f"no pictures in {valid}: name a folder with images for --valid")
    given, alone = given_lr.match([*hr, *held], lr, model.scale) if lr else ({}, [])
    notes += given_lr.unused(given, lr) if lr else []
    pictures, validation = ([each.path for each in some if not lr or each.path in given] for some in (hr, held))
    if not pictures or (held and not validation):
        raise EspcnError(f"{'validation' if pictures else 'training'} pictures have no LR in {lr}: {alone[0].line}")
    if drawings and settings.degradation != "real":
        raise UsageError("--drawings is for --degradation real: name the folder among DATA")
    if settings.degradation == "real" and settings.patch_size > SIDE:
        raise UsageError(f"--degradation real has patches of at most {SIDE}: use a smaller --patch-size")
    more, others = layouts.find_hr([drawings] if drawings else [], scale=model.scale)
    if drawings and not more:
        raise EspcnError(f"no pictures in {drawings}: name a folder with images for --drawings")
    init = options.get("init")
    if init:
        check_start_stays(init, output)
    name, model = continued(name, model, init)
    check_mixtures(settings, model, init)
    check_quantise(settings, model, init)
    notes += beside + others
    options |= {"notes": notes, "lr_folder": lr, "lr": given, "alone": alone}
    return Job(output, name, model, settings, pictures, validation, more, **options)


def check_lr(lr: Path | None, settings: TrainSettings) -> None:
    """Raises UsageError if LR is given and to be made as well, or lies in no folder."""
    if lr is None:
        return
    if settings.degradation != TrainSettings().degradation:
        raise UsageError("--lr gives LR, and --degradation says how to make it: leave one of them out")
    if not is_folder(lr):
        raise UsageError(f"--lr {lr} is no folder: name the one with LR pictures")


def check_mixtures(settings: TrainSettings, model: ModelSettings, init: Path | None) -> None:
    """Raises UsageError if mixtures are asked for where nothing can be mixed, or LR needs no strengths."""
    if not settings.mixtures:
        return
    if settings.degradation != "real":
        raise UsageError("--mixtures is for --degradation real: other LR needs no strengths")
    if init is None:
        raise UsageError("--mixtures needs clean weights to mix with: name them with --init")
    if checkpoint.read_card(init).settings != model:
        raise UsageError(f"--mixtures: {init} is another form of network; start from one of the same kind and scale")
    clean_of(init)


def clean_of(init: Path) -> Path:
    """What a training of mixtures mixes with: the start, or where that is real itself, its clean sister.

    Raises EspcnError if that is nowhere to be found.
    """
    sister = checkpoint.read_card(init).sister
    if sister is None:
        return init
    path = mixing.find_sister(init)
    if path is None:
        raise EspcnError(
            f"{init} was trained from {sister.name}, which is not there: put {sister.name} beside it", init
        )
    return path


def check_quantise(settings: TrainSettings, model: ModelSettings, init: Path | None) -> None:
    """Raises UsageError if eight bits are asked for without trained weights of the same form, or for mixtures."""
    if not settings.quantise:
        return
    if settings.mixtures:
        raise UsageError("--quantise is for one network, --mixtures trains several: leave one of them out")
    if init is None:
        raise UsageError("--quantise needs trained weights to start from: name them with --init")
    if checkpoint.read_card(init).settings != model:
        raise UsageError(f"--quantise: {init} is another form of network; start from one of the same kind and scale")


def refuse_existing(output: Path, resume: bool) -> None:
    """Raises UsageError if the training would replace another one's checkpoint, or what its folder keeps without one.

    What `resume` continues is its own.
    """
    folder = RunFolder.of(output)
    interrupted = is_file(folder.state)
    if resume and interrupted:
        return
    continuing = ", or continue its training with --resume" if interrupted else ""
    files.refuse_existing([output], continuing)
    if existing([folder.last, folder.state]):
        raise UsageError(f"{folder.path} holds another training: replace it with --overwrite{continuing}", folder.path)


def check_start_stays(init: Path, output: Path) -> None:
    """Raises UsageError if the training would write over the checkpoint that it starts from."""
    folder = RunFolder.of(output)
    for written in (output, folder.last, folder.state):
        if is_there(written) and is_there(init) and written.samefile(init):
            raise UsageError(f"the training would overwrite {init}, which it starts from: choose another --output")


def continued(name: str, model: ModelSettings, init: Path | None) -> tuple[str, ModelSettings]:
    """What to train, and its settings: a network goes on with the activation that it has, whatever its name has now.

    One of no form that has a name, such as one that was imported, goes on in its own, at the scale that is asked for,
    and under its own name.
    """
    if not init:
        return name, model
    card = checkpoint.read_card(init)
    if has_name(card.settings) or has_layers(card.settings, model):
        return name, replace(model, activation=card.settings.activation)
    return card.name, replace(card.settings, scale=model.scale)


def identity(job: Job) -> dict[str, Any]:
    """What a training state and a job must have in common, besides the data."""
    init = str(job.init) if job.init else None
    return {"name": job.name, "model": job.model.to_dict(), "settings": job.settings.to_dict(), "init": init}
