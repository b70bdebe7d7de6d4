"""Which panel of a command's help shows which option: the home of the panels' names and of their order."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

PANELS = {
    "Data": "valid lr outputs protocol degradation drawings mixtures workers cache hr rows",
    "Model": "model models scale scales strength ensemble alpha",
    "Network": "planes init expansion code upsampler range activation last",
    "Schedule": "steps minutes epochs schedule warmup finish patience validate_every",
    "Optimiser": "loss optimiser learning_rate batch_size patch_size candidates clip ema_decay",
    "Output": "output size format quality png_level depth overwrite skip_existing report pictures crops codes count "
    "csv_file markdown input license origin",
    "Batch": "recursive jobs dry_run max_pixels",
    "Video": "codec crf preset pixel_format start end frames deinterlace",
    "Run": "resume seed tensorboard",
    "Speed": "engine device precision threads cluster cores_per_worker tile speed sizes",
    "Reporting": "clean verbose quiet as_json help",
}
"""Names of parameters by panel, but for those in MOVED."""

OF = {name: panel for panel, names in PANELS.items() for name in names.split()}
MOVED = {
    "upscale": {"resume": "Video"},
    "train": {"model": "Network", "scale": "Network"}
    | dict.fromkeys(("output", "overwrite", "skip_existing", "license", "device", "precision"), "Run")
    | {"max_pixels": "Data"},
}
"""What a command shows elsewhere than the others do."""

EXAMPLES = {
    name: f"Example: `{line}`"
    for name, line in {
        "upscale": "espcn upscale photo.jpg photo_x2.png",
        "train": "espcn train photos/ -o mine.safetensors --minutes 30",
        "benchmark": "espcn benchmark Set5/ -m espcn-m -m espcn-l",
        "compare": "espcn compare small.png -m espcn-s -m espcn-m -o sheet.png",
        "report": "espcn report first.run second.run -o trainings.html",
        "import": "espcn import network.pth -o network.safetensors",
        "export": "espcn export espcn-m page.html",
        "models": "espcn models mine.safetensors",
        "doctor": "espcn doctor",
        "autoencoder train": "espcn autoencoder train mnist/ -o digits.safetensors",
        "autoencoder reconstruct": "espcn autoencoder reconstruct autoencoder mnist/ sheet.png",
    }.items()
}
"""A line at the end of each command's help."""


class Panelled(TyperCommand):
    """A command whose help shows its options in panels, and no type beside a flag."""

    def get_params(self, ctx: Any) -> list[Any]:
        panels = OF | MOVED.get(self.name or "", {})
        params = without_types(super().get_params(ctx))
        for param in params:
            if isinstance(param, TyperOption):
                param.rich_help_panel = panels.get(param.name or "")
        order = [None, *PANELS]  # arguments have no panel of ours
        return sorted(params, key=lambda param: order.index(param.rich_help_panel))


class Group(TyperGroup):
    """Commands under one word; no type beside its flags either."""

    def get_params(self, ctx: Any) -> list[Any]:
        return without_types(super().get_params(ctx))


def without_types(params: list[Any]) -> list[Any]:
    """The same parameters; help shows no type beside those that are flags."""
    for param in params:
        if isinstance(param, TyperOption) and param.is_flag:
            param.metavar = ""
    return params
