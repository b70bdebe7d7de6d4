"""Which panel of a command's help shows which option, and which of them `--help-all` alone shows."""

from __future__ import annotations

from copy import copy
from typing import Any

from typer.core import TyperCommand, TyperGroup, TyperOption

PANELS = {
    "Data": "valid lr outputs protocol degradation drawings mixtures workers cache hr rows",
    "Model": "model models scale scales strength ensemble alpha wrap",
    "Network": "planes init quantise expansion code upsampler range activation last",
    "Schedule": "steps minutes epochs schedule warmup finish patience validate_every",
    "Optimiser": "loss optimiser learning_rate batch_size patch_size candidates clip ema_decay",
    "Output": "output size fit name beside format quality png_level depth dpi strip keep_time overwrite skip_existing "
    "report pictures crops codes count csv_file markdown input license origin",
    "Batch": "recursive settle exclude larger_than smaller_than jobs dry_run lenient max_pixels",
    "Video": "codec crf preset pixel_format start end frames deinterlace",
    "Run": "resume seed tensorboard",
    "Speed": "engine device precision threads cluster cores_per_worker tile speed sizes",
    "Reporting": "clean retry_failed json_lines verbose quiet as_json help help_all",
}
"""Names of parameters by panel, but for those in MOVED."""

OF = {name: panel for panel, names in PANELS.items() for name in names.split()}
MOVED = {
    "upscale": {"resume": "Video"},
    "export": {"precision": "Output"},
    "train": {"model": "Network", "scale": "Network"}
    | dict.fromkeys(("output", "overwrite", "skip_existing", "license", "device", "precision"), "Run")
    | {"max_pixels": "Data"},
}
"""What a command shows elsewhere than the others do."""

RARE = {
    command: frozenset(names.split())
    for command, names in {
        "upscale": "alpha wrap lenient dpi keep_time ensemble png_level depth jobs max_pixels preset pixel_format "
        "start end frames deinterlace tile threads engine precision larger_than smaller_than "
        "json_lines retry_failed",
        "train": "drawings mixtures workers cache max_pixels planes expansion schedule warmup finish patience "
        "validate_every candidates optimiser clip ema_decay tensorboard license precision",
        "benchmark": "protocol rows ensemble pictures max_pixels engine precision",
        "compare": "max_pixels threads engine device precision",
    }.items()
}
"""Names of parameters that few people need, by command (`autoencoder train` is a `train`): not in `--help`."""

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
        "watch": "espcn watch arriving/ large/ -f webp",
        "doctor": "espcn doctor",
        "autoencoder train": "espcn autoencoder train mnist/ -o digits.safetensors",
        "autoencoder reconstruct": "espcn autoencoder reconstruct autoencoder mnist/ sheet.png",
    }.items()
}
"""A line at the end of each command's help."""


class Panelled(TyperCommand):
    """A command whose help shows its options in panels, and no type beside a flag.

    Options in RARE are options like all others, also for a shell that completes them; `--help-all` shows them too.
    """

    short = False
    """Whether it is one that stands for the command while `--help` is printed, without what few people need."""

    def get_params(self, ctx: Any) -> list[Any]:
        panels = OF | MOVED.get(self.name or "", {})
        params = without_types(super().get_params(ctx))
        if self.rare() and (option := self.get_help_option(ctx)):
            params.append(help_all(option))
        for param in params:
            if isinstance(param, TyperOption):
                param.rich_help_panel = panels.get(param.name or "")
        order = [None, *PANELS]  # arguments have no panel of ours
        left_out = self.rare() if self.short else ()
        shown = [param for param in params if param.name not in left_out]
        return sorted(shown, key=lambda param: order.index(param.rich_help_panel))

    def format_help(self, ctx: Any, formatter: Any) -> None:
        rare = self.rare()
        if not rare or ctx.meta.get(ALL):
            return super().format_help(ctx, formatter)
        shown = copy(self)
        shown.short = True
        shown.epilog = (
            f"{self.epilog}\n\n{len(rare)} more options, which few people need: `{ctx.command_path} --help-all`"
        )
        return super(Panelled, shown).format_help(ctx, formatter)

    def rare(self) -> set[str]:
        """Names of its parameters that few people need."""
        return {param.name for param in self.params if param.name in RARE.get(self.name or "", ())}


ALL = "espcn: help shows all options"
"""A key in what a command line has found out: `--help-all` was given."""


def help_all(option: Any) -> Any:
    """The same as `--help`, for all options."""

    def show_all(ctx: Any, param: Any, value: bool) -> None:
        ctx.meta[ALL] = value
        option.callback(ctx, param, value)

    more = copy(option)
    more.name, more.opts, more.callback = "help_all", ["--help-all"], show_all
    more.help = "Show the options that few people need too."
    return more


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
