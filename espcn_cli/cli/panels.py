"""Which panel of a command's help shows which option: the home of the panels' names and of their order."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand, TyperOption

PANELS = {
    "Data": "valid lr outputs protocol degradation drawings mixtures workers cache hr rows",
    "Model": "model models scale scales strength ensemble alpha",
    "Network": "planes init expansion code upsampler range activation last",
    "Schedule": "steps minutes epochs schedule warmup finish patience validate_every",
    "Optimiser": "loss optimiser learning_rate batch_size patch_size candidates clip ema_decay",
    "Output": "output size format quality png_level depth overwrite skip_existing report pictures crops codes count "
    "csv_file markdown input license origin",
    "Batch": "recursive jobs dry_run max_pixels",
    "Run": "resume seed tensorboard",
    "Speed": "engine device precision threads tile speed sizes",
    "Reporting": "verbose quiet as_json help",
}
"""Names of parameters by panel; `train` has its model and its scale in the panel Network."""

OF = {name: panel for panel, names in PANELS.items() for name in names.split()}
MOVED = {"train": {"model": "Network", "scale": "Network"}}
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
        "autoencoder train": "espcn autoencoder train mnist/ -o digits.safetensors",
        "autoencoder reconstruct": "espcn autoencoder reconstruct autoencoder mnist/ sheet.png",
    }.items()
}
"""A line at the end of each command's help."""


class Panelled(TyperCommand):
    """A command whose help shows its options in panels, and no type beside a flag."""

    def get_params(self, ctx: Any) -> list[Any]:
        params = super().get_params(ctx)
        panels = OF | MOVED.get(self.name or "", {})
        for param in params:
            if isinstance(param, TyperOption):
                param.rich_help_panel = param.rich_help_panel or panels.get(param.name or "")
                if param.is_flag:
                    param.metavar = ""
        order = [*PANELS]
        return sorted(params, key=lambda param: place(getattr(param, "rich_help_panel", None), order))


def place(panel: str | None, order: list[str]) -> int:
    """Where a panel stands: arguments first, then in the order of PANELS, then those of one command alone."""
    if panel is None:
        return -1
    return order.index(panel) if panel in order else len(order)
