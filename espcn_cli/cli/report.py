"""`espcn report` on the command line."""

from __future__ import annotations

from typing import Annotated

import typer

from espcn_cli.cli.terminal import Overwrite, Quiet, SkipExisting, choose_existing, show, show_skipped
from espcn_cli.figures import amount


def report(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="Folders of trainings (mine.run), or their checkpoints.")
    ],
    output: Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="The page.")] = "report.html",
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    quiet: Quiet = False,
) -> None:
    """Make a page of one or several trainings, side by side: what came of them, curves, settings and samples."""
    from espcn_cli.files import check_destination, existing, refuse_existing
    from espcn_cli.paths import file_of, source_of
    from espcn_cli.reports import page
    from espcn_cli.reports.runs import read_runs, runs_page

    choose_existing(overwrite, skip_existing)
    path = file_of(output)
    if skip_existing and existing([path]):
        show_skipped(path, quiet)
        return
    sources = [source_of(run) for run in runs]
    check_destination(path, [source for source in sources if source.is_file()])
    if not overwrite:
        refuse_existing([path])
    page.write(path, runs_page(read_runs(sources)), overwrite)
    if not quiet:
        show(f"{path}: {amount(len(runs), 'training')}")
