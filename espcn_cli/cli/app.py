"""The command line: options -> settings -> one call -> print. Nothing below it prints, draws progress or exits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from espcn_cli.cli import (
    autoencoder,
    benchmark,
    compare,
    doctor,
    export,
    importing,
    models,
    report,
    train,
    upscale,
    watch,
)
from espcn_cli.cli.panels import EXAMPLES, Group, Panelled
from espcn_cli.cli.stopping import watching
from espcn_cli.cli.terminal import say
from espcn_cli.errors import EspcnError


class Commands(Group):
    """Turns what the user can mend into one line on stderr and an exit code; anything else is our bug and shows."""

    def main(self, *args: Any, **options: Any) -> Any:
        with watching():
            return super().main(*args, **options)

    def make_context(self, info_name: Any, args: Any, parent: Any = None, **extra: Any) -> Any:
        with in_one_line(info_name):
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: Any) -> Any:
        try:
            with in_one_line(ctx.command_path, ctx):
                return super().invoke(ctx)
        except EspcnError as error:
            say(f"espcn: {error}")
            raise typer.Exit(error.exit_code) from None
        except ModuleNotFoundError as error:
            if error.name != "torch":
                raise
            say(
                f"espcn: {ctx.command_path} {ctx.invoked_subcommand} needs PyTorch, which is not installed: "
                "pip install torch"
            )
            raise typer.Exit(1) from None


@contextmanager
def in_one_line(path: str, ctx: Any = None) -> Iterator[None]:
    """What Typer cannot parse is one line, without a frame around it, that says where to read more.

    `path` is the words up to the command; `ctx` knows which one below it was called.
    """
    try:
        yield
    except typer.TyperException as error:
        said = " ".join(error.format_message().replace("Value error, ", "").split()).rstrip(".")
        if not said or said.startswith("Usage:"):  # the help, where nothing was asked for
            raise
        command = getattr(error, "ctx", None)
        below = ctx.invoked_subcommand if ctx else None
        where = command.command_path if command else f"{path} {below}" if below else path
        say(f"espcn: {said}{' See' if said.endswith('?') else '; see'} {where} --help")
        raise typer.Exit(error.exit_code) from None


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Super-resolution with sub-pixel convolutions: upscale pictures, train networks, measure both.",
    epilog="Example: `espcn upscale cat.png cat_x2.png`. Each command's own --help shows its options and an example.",
)

app.add_typer(autoencoder.app, name="autoencoder")


def show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version

        typer.echo(f"espcn {version('espcn')}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    pass


app.command(cls=upscale.UpscaleCommand, epilog=EXAMPLES["upscale"])(upscale.upscale)
app.command(cls=Panelled, epilog=EXAMPLES["train"])(train.train)
app.command(cls=Panelled, epilog=EXAMPLES["benchmark"])(benchmark.benchmark)
app.command(cls=Panelled, epilog=EXAMPLES["compare"])(compare.compare)
app.command(cls=Panelled, epilog=EXAMPLES["report"])(report.report)
app.command("import", cls=Panelled, epilog=EXAMPLES["import"])(importing.import_network)
app.command(cls=Panelled, epilog=EXAMPLES["export"])(export.export)
app.command("models", cls=Panelled, epilog=EXAMPLES["models"])(models.list_models)
app.command(cls=Panelled, epilog=EXAMPLES["doctor"])(doctor.doctor)
app.command(cls=Panelled, epilog=EXAMPLES["watch"])(watch.watch)
