"""The command line: options -> settings -> one call -> print. Nothing below it prints, draws progress or exits."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from espcn_cli.cli import autoencoder, benchmark, models, train, upscale
from espcn_cli.cli.stopping import watching
from espcn_cli.cli.terminal import say
from espcn_cli.errors import EspcnError


class Commands(TyperGroup):
    """Turns what the user can mend into one line on stderr and an exit code; anything else is our bug and shows."""

    def main(self, *args: Any, **options: Any) -> Any:
        with watching():
            return super().main(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except EspcnError as error:
            say(f"espcn: {error}")
            raise typer.Exit(error.exit_code) from None
        except typer.BadParameter as error:
            say(f"espcn: {one_line(error)}")
            raise typer.Exit(error.exit_code) from None


def one_line(error: typer.BadParameter) -> str:
    """What Typer says of an option's value, without a frame around it, and where to read more."""
    said = error.format_message().replace("Value error, ", "").rstrip(".")
    return f"{said}; see {error.ctx.command_path if error.ctx else 'espcn'} --help"


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Super-resolution with sub-pixel convolutions: upscale pictures, train networks, measure both.",
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


app.command()(upscale.upscale)
app.command()(train.train)
app.command()(benchmark.benchmark)
app.command("models")(models.list_models)
