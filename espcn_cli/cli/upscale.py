"""`espcn upscale` on the command line."""

from __future__ import annotations

import os
import re
import shlex
import sys
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.panels import Panelled
from espcn_cli.cli.scaling import Cluster, CoresPerWorker, check_options, work_on
from espcn_cli.cli.stopping import last_words
from espcn_cli.cli.terminal import (
    SCALE_HELP,
    AnyDevice,
    Engine,
    Json,
    NoBar,
    Overwrite,
    Precision,
    Quiet,
    SkipExisting,
    Strength,
    Threads,
    choose_existing,
    parse_strength,
    printable,
    progress,
    say,
    saying_warnings,
    show,
    show_json,
)
from espcn_cli.errors import UsageError
from espcn_cli.paths import STREAM
from espcn_cli.settings import DEFAULT_FOR_PICTURES, DEFAULT_SCALE, MAX_PIXELS, SCALES, Alpha, Codec, Scale

if TYPE_CHECKING:
    from espcn_cli.upscaling.film import Progress
    from espcn_cli.upscaling.outcome import Outcome, Task
    from espcn_cli.upscaling.pipeline import Options

    Work = Callable[[Options], Generator[Outcome, None, None]]


class UpscaleCommand(Panelled):
    """Tells in words what is missing where one path stands alone, or none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a shell completes what is not finished yet
            return super().parse_args(ctx, args)
        words, _, _ = self.make_parser(ctx).parse_args(args=[*args])
        if words["sources"] or words.get("help"):
            return super().parse_args(ctx, args)
        only = words["destination"]
        if not isinstance(only, str):
            example = "espcn upscale cat.png cat_x2.png"
            raise UsageError(f"name a picture, and after it where the upscaled one goes, such as: {example}")
        example = shlex.join(["espcn", "upscale", *args, output_for(only, words.get("scale"))])
        raise UsageError(f"where does the upscaled {only} go? Name a second path, as for cp: {example}")


def output_for(source: str, scale: object) -> str:
    """A name to suggest for what becomes of a source."""
    path = Path(source)
    if source == str(STREAM):
        return "upscaled.png"
    name = f"{path.resolve().stem}_x{scale if isinstance(scale, str) else DEFAULT_SCALE}"
    return name + ("/" if path.is_dir() else path.suffix)


def parse_scale(text: str) -> Scale:
    """One of SCALES. Raises ValueError for anything else, with the way to any other size."""
    for scale in SCALES:
        if text == str(scale):
            return scale
    number = re.fullmatch(r"(\d{1,3}(?:\.\d{1,3})?)(%?)", text)
    percent = float(number[1]) * (1 if number[2] else 100) if number else 0
    other = f": for that, use --size {percent:g}%" if percent else ""
    raise ValueError(f"{text!r} is not one of {', '.join(repr(str(scale)) for scale in SCALES)}{other}")


def upscale(
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Pictures, videos, or folders of them; '-' is standard input.")
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION",
            help="A file for one source, a folder for several; a name that ends in a slash is a folder. "
            "'-' is standard output.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"A name from `espcn models`, or a checkpoint's path. Default: {DEFAULT_FOR_PICTURES}.",
        ),
    ] = None,
    scale: Annotated[
        Scale | None,
        typer.Option(
            "--scale",
            "-s",
            metavar="|".join(map(str, SCALES)),
            parser=parse_scale,
            help=f"{SCALE_HELP} Default: the checkpoint's, {DEFAULT_SCALE} for a name.",
        ),
    ] = None,
    strength: Strength = "auto",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH|Wx|xH|N%",
            help="Exact size: the smallest scale that reaches it, then an antialiased resize. "
            "The aspect is kept unless both sides are given.",
        ),
    ] = None,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders below too; the tree is kept.")] = False,
    overwrite: Overwrite = False,
    skip_existing: SkipExisting = False,
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="SUFFIX",
            help="Output format in a folder or on standard output: png, jpg, webp ..., mp4, mkv, y4m ... "
            "Default: as the source; on standard output PNG, and Y4M for a video.",
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            min=1, max=100, help="Quality of JPEG (default: 95), AVIF and HEIC (90), WebP and JPEG XL (lossless)."
        ),
    ] = None,
    png_level: Annotated[
        int | None,
        typer.Option(
            min=0,
            max=9,
            help="PNG compression: 0 none, 1 to 3 fast with the extra 'fast', 9 smallest. Default: fastest.",
        ),
    ] = None,
    depth: Annotated[
        int | None, typer.Option(metavar="8", min=8, max=8, help="Cut more than 8 bits per sample down to 8.")
    ] = None,
    alpha: Annotated[
        Alpha,
        typer.Option(
            help="What alpha is. blend: transparency. separate: data, such as gloss or height in a game's textures; "
            "it is enlarged by itself, and the colours below it stay as they are.",
        ),
    ] = "blend",
    ensemble: Annotated[
        bool,
        typer.Option(
            "--ensemble",
            help="Mean over the eight flips and quarter turns, eight times slower; "
            "espcn-m at x2 gains 0.14 dB by it on six Kodak pictures.",
        ),
    ] = False,
    codec: Annotated[
        Codec,
        typer.Option(help="Codec of videos: auto is h264, in WebM vp9; source is the source's own."),
    ] = "auto",
    crf: Annotated[
        int | None,
        typer.Option(min=0, help="Quality of the codec, 0 is best. Default: no visible loss."),
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="Speed of the codec: ultrafast to placebo for h264 and hevc, else a number. Default: veryfast; 9 for "
            "av1, 6 for vp9.",
        ),
    ] = None,
    pixel_format: Annotated[
        str | None,
        typer.Option(
            help="FFmpeg's name of a pixel format, such as yuv420p. Default: the one that keeps most of the source."
        ),
    ] = None,
    start: Annotated[str | None, typer.Option(metavar="TIME", help="Begin here: seconds, or 1:02:03.5.")] = None,
    end: Annotated[str | None, typer.Option(metavar="TIME", help="End here.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="At most this many frames.")] = None,
    deinterlace: Annotated[
        bool, typer.Option("--deinterlace", help="Make whole frames of fields first (bwdif).")
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a video where the same command was stopped.")
    ] = False,
    tile: Annotated[
        str, typer.Option(metavar="auto|N|off", help="LR pixels of a tile's side; the result is the same.")
    ] = "auto",
    jobs: Annotated[
        int | None,
        typer.Option(
            "--jobs",
            "-j",
            min=1,
            help="Pictures decoded, and as many encoded, at the same time. Default: as many as there are threads.",
        ),
    ] = None,
    threads: Threads = None,
    cluster: Cluster = None,
    cores_per_worker: CoresPerWorker = None,
    max_pixels: Annotated[
        int,
        typer.Option(
            min=1,
            help="Refuse files that claim more pixels, all frames together, and outputs 16 times as large. "
            "Of a video, each frame counts by itself.",
        ),
    ] = MAX_PIXELS,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be done, with sizes, time and memory; write nothing.")
    ] = False,
    engine: Engine = "auto",
    device: AnyDevice = "auto",
    precision: Precision = "auto",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Report the weights and the strength that each picture got.")
    ] = False,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Upscale a picture or a video to a file, or many of them and folders to a folder.

    A video keeps its sound, subtitles, chapters, metadata, timestamps and colours (pip install 'espcn[video]').
    Grey stays grey; transparency, colour profile, EXIF, 16 bits, pages and animations are kept where the format holds
    them; anything lost is reported. Photographs come out upright. An input is never overwritten, an existing output
    only with --overwrite; outputs appear whole or not at all; a file that fails is named and the others are done.
    """
    from espcn_cli import cores
    from espcn_cli.engines.opening import hint as engine_hint
    from espcn_cli.files import is_stream
    from espcn_cli.pictures import opening, writing
    from espcn_cli.pictures.encoders import Coding
    from espcn_cli.pictures.video import Span
    from espcn_cli.upscaling import film, pipeline, sizes
    from espcn_cli.upscaling.outcome import exit_code
    from espcn_cli.upscaling.outputs import check_outputs
    from espcn_cli.upscaling.plan import plan, stream_format
    from espcn_cli.upscaling.preview import preview
    from espcn_cli.upscaling.upscaler import load

    tile_size = parse_tile(tile)
    suffix = f".{format.lower().lstrip('.')}" if format is not None else None
    choose_existing(overwrite, skip_existing)
    check_options(cluster, cores_per_worker, threads, dry_run)
    films = film.FilmOptions(
        Coding(codec, crf, preset, pixel_format),
        Span(parse_time(start, "--start") or 0, parse_time(end, "--end"), frames),
        deinterlace,
        resume,
    )
    if is_stdout(Path(destination)):
        destination = str(STREAM)
    streaming = destination == str(STREAM)
    if streaming and not dry_run:
        check_stdout(as_json)
    options = pipeline.Options(
        size=sizes.parse(size) if size is not None else None,
        depth=depth,
        encoding=writing.Encoding(quality, png_level),
        overwrite=overwrite,
        skip_existing=skip_existing,
        jobs=jobs,
        stream_format=stream_format(suffix, Path(destination)) if streaming or is_stream(Path(destination)) else "PNG",
        max_output=pipeline.GROWTH * max_pixels,
        film=films,
    )
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of odd files; errors are ours to say
    opening.limit_pixels(max_pixels)
    cores.limit(threads)
    planned = plan(sources, destination, recursive, suffix)
    check_kinds(planned, films != film.FilmOptions(), {quality, png_level, depth} != {None})
    tasks = check_outputs(planned, overwrite, skip_existing)
    how: dict[str, Any] = {"strength": parse_strength(strength), "engine": engine, "precision": precision}
    how |= {"tile": tile_size, "ensemble": ensemble, "alpha": alpha}
    with saying_warnings(quiet):
        if cluster is not None and not dry_run:
            work = work_on(cluster, cores_per_worker, device, quiet, tasks, model, scale, **how)
        else:
            upscaler = load(model, scale, device=device, **how)
            work = partial(pipeline.run, upscaler, tasks)
    if not quiet:
        if cluster is None and (line := engine_hint(engine, device)):
            say(f"espcn: {line}")
        report_renamed(tasks)
    if dry_run:
        outcomes = list(preview(upscaler, tasks, options))
        show_expected(outcomes, as_json, quiet, verbose)
    else:
        outcomes = do_all(work, tasks, options, as_json, quiet, verbose)
        if not (as_json or quiet or streaming):
            show(summarise(outcomes, count_others(sources, recursive)))
    if as_json:
        print_json(outcomes)
    if code := exit_code(outcomes):
        raise typer.Exit(code)


def is_stdout(path: Path) -> bool:
    """Whether a path is another name of standard output, such as /dev/stdout."""
    from espcn_cli.files import is_stream

    try:
        return is_stream(path) and os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    except (OSError, ValueError, AttributeError):  # closed, or no file at all
        return False


def check_stdout(as_json: bool) -> None:
    """Raise UsageError if a picture cannot go to standard output."""
    if sys.stdout is None:
        raise UsageError("standard output is closed: name a file")
    if sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it to a file or a pipe")
    if as_json:
        raise UsageError("--json and the picture cannot both go to standard output")


def parse_tile(tile: str) -> int | None:
    """`auto` -> None, `off` -> 0, a number -> itself. Raises UsageError otherwise."""
    if tile in ("auto", "off"):
        return None if tile == "auto" else 0
    if not tile.isdecimal() or int(tile) < 1:
        raise UsageError(f"--tile {tile!r}: use auto, off or a number of LR pixels")
    return int(tile)


def parse_time(text: str | None, option: str) -> float | None:
    """Seconds of `83.5`, `1:23.5` or `0:01:23.5`. Raises UsageError for anything else."""
    if text is None:
        return None
    if not re.fullmatch(r"(\d{1,4}:){0,2}\d{1,7}(\.\d{1,9})?", text):
        raise UsageError(f"{option} {text!r}: use seconds, or hours:minutes:seconds")
    seconds = 0.0
    for part in text.split(":"):
        seconds = seconds * 60 + float(part)
    return seconds


def check_kinds(tasks: list[Task | Outcome], for_videos: bool, for_pictures: bool) -> None:
    """Raise UsageError if options were given for videos or for pictures alone, and there are none of them."""
    from espcn_cli.upscaling.outcome import Task

    kinds = {task.video is not None for task in tasks if isinstance(task, Task)}
    if kinds == {False} and for_videos:
        raise UsageError("options for videos (--codec to --resume) were given, and no source is one: leave them out")
    if kinds == {True} and for_pictures:
        raise UsageError("--quality, --png-level and --depth are for pictures; --crf and --pixel-format are for videos")


# --- the work --------------------------------------------------------------------------------------------------------


def do_all(
    work: Work, tasks: list[Task | Outcome], options: Options, as_json: bool, quiet: bool, verbose: bool
) -> list[Outcome]:
    """Do the tasks under a progress bar and report each."""
    outcomes: list[Outcome] = []
    video = VideoBar(quiet)
    done = work(replace(options, film=replace(options.film, progress=video.update)))
    several = len(tasks) > 1
    with last_words(lambda: [describe_rest(outcomes, tasks, options.overwrite)]):
        try:
            with progress(len(tasks), "file", quiet) if several else nullcontext(NoBar()) as bar, video:
                for outcome in done:
                    outcomes.append(outcome)
                    video.close()
                    bar.update()
                    report(outcome, quiet, verbose, in_a_log=several and bar.disable)
        except (KeyboardInterrupt, SystemExit) as stop:
            for outcome in finished(done, stop):
                outcomes.append(outcome)
                report(outcome, quiet, verbose, in_a_log=several and bar.disable)
            if as_json:
                print_json(outcomes)
            raise
    return outcomes


def finished(work: Generator[Outcome, None, None], stop: BaseException) -> Iterator[Outcome]:
    """What was under way when an interruption came between two outcomes; nothing if it came within the work."""
    try:
        yield work.throw(stop)
        yield from work
    except (KeyboardInterrupt, SystemExit):
        return


class VideoBar:
    """The bar of the video that is under way: frames a second, time left, and how that compares with its own pace."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._open = ExitStack()
        self._bar: Any = None

    def __enter__(self) -> VideoBar:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def update(self, state: Progress) -> None:
        if self._bar is None:
            self._bar = self._open.enter_context(progress(state.total, "frame", self._quiet, initial=state.done - 1))
        self._bar.set_postfix_str(f"{state.speed:.2f} x real time", refresh=False)
        self._bar.update()

    def close(self) -> None:
        self._open.close()
        self._bar = None


def describe_rest(outcomes: list[Outcome], tasks: list[Task | Outcome], overwrite: bool) -> str:
    """What an interruption leaves to be done, and how."""
    from espcn_cli.upscaling.film import is_kept
    from espcn_cli.upscaling.outcome import Task

    left = len(tasks) - len(outcomes)
    again = "starts again" if overwrite else "with --skip-existing continues"
    if any(isinstance(task, Task) and task.video and is_kept(task.output) for task in tasks[len(outcomes) :]):
        again = (
            "with --resume goes on"
            if left == 1
            else f"with --resume {'goes on' if overwrite else 'and --skip-existing goes on'}"
        )
    return f"espcn: interrupted: {counted(outcomes)}, {left} left; the same command {again}"


# --- what is printed -------------------------------------------------------------------------------------------------


def print_json(outcomes: list[Outcome]) -> None:
    show_json([outcome.to_dict() for outcome in outcomes])


def report(outcome: Outcome, quiet: bool, verbose: bool, in_a_log: bool = False) -> None:
    """The error or the warnings of a picture, on stderr; in a log, which shows no bar, also what became of it.

    With `verbose`, what made it as well.
    """
    if outcome.error is not None:
        say(f"espcn: {printable(outcome.error)}")
    elif not quiet:
        if in_a_log:
            say(describe(outcome))
        lines = [*outcome.warnings, *([made_by(outcome)] if verbose and outcome.state == "upscaled" else [])]
        for line in lines:
            say(f"{printable(outcome.task.source)}: {line}")


def made_by(outcome: Outcome) -> str:
    """The weights and the strength that a picture got, or will get as far as that is known."""
    if outcome.model is None:
        return "no network, as it gets no larger"
    return outcome.model + (f", strength {outcome.strength:g}" if outcome.strength is not None else "")


def report_renamed(tasks: list[Task | Outcome]) -> None:
    """One line for all outputs that are called after the whole name of their source."""
    from espcn_cli.upscaling.outcome import Task

    renamed = [task for task in tasks if isinstance(task, Task) and task.renamed]
    if renamed:
        say(
            f"{len(renamed)} of {len(tasks)} outputs get their source's whole name, such as {renamed[0].output}: "
            "by their stems alone, several would be one file"
        )


def summarise(outcomes: list[Outcome], others: int = 0) -> str:
    """One line on the whole run; `others` counts the files in the folders that were neither pictures nor videos."""
    if len(outcomes) == 1 and outcomes[0].size and outcomes[0].output_size:
        return f"{printable(outcomes[0].task.output)}: {sizes_of(outcomes[0])}"
    return counted(outcomes) + (f"; {others} other files passed over" if others else "")


def count_others(sources: list[str], recursive: bool) -> int:
    from espcn_cli.files import is_folder
    from espcn_cli.pictures import containers, folders

    suffixes = folders.SUFFIXES | containers.SUFFIXES
    return sum(folders.count_others(source, recursive, suffixes) for source in map(Path, sources) if is_folder(source))


def counted(outcomes: list[Outcome]) -> str:
    from espcn_cli.upscaling.outcome import count

    return ", ".join(f"{number} {state}" for state, number in count(outcomes).items() if number or state == "upscaled")


def describe(outcome: Outcome) -> str:
    """A picture that did not fail, in one line: from where to where, and the sizes or why it was skipped."""
    names = f"{printable(outcome.task.source)} -> {printable(outcome.task.output)}"
    return f"{names}: {'skipped, the output exists' if outcome.skipped else sizes_of(outcome)}"


def sizes_of(outcome: Outcome) -> str:
    assert outcome.size and outcome.output_size
    (width, height), (new_width, new_height) = outcome.size, outcome.output_size
    count = f", {outcome.frames} frames" if outcome.frames is not None else ""
    return f"{width} x {height} -> {new_width} x {new_height}{count}, {outcome.seconds:.1f} s"


def show_expected(outcomes: list[Outcome], as_json: bool, quiet: bool, verbose: bool) -> None:
    """What a run would do, on stdout, a line each unless it comes as JSON; what it could not do, on stderr."""
    for outcome in outcomes:
        report(outcome, quiet, verbose)
        if not as_json and outcome.error is None:
            show(describe(outcome))
    if not as_json:
        number = sum(outcome.state == "upscaled" for outcome in outcomes)
        seconds = sum(outcome.seconds for outcome in outcomes)
        memory = max((outcome.memory or 0 for outcome in outcomes), default=0)
        show(f"{number} to upscale, about {seconds:.1f} s in the network, {memory / 1e6:.0f} MB at most")
