"""`espcn upscale` on the command line."""

from __future__ import annotations

import os
import re
import shlex
import sys
import warnings
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from espcn_cli.cli.batch import do_all
from espcn_cli.cli.outcomes import count_others, print_json, report_passed, report_renamed, show_expected, summarise
from espcn_cli.cli.panels import Panelled
from espcn_cli.cli.scaling import Cluster, CoresPerWorker, check_options, work_on
from espcn_cli.cli.terminal import (
    AnyDevice,
    Engine,
    Json,
    Overwrite,
    Precision,
    Quiet,
    ScaleInPasses,
    SkipExisting,
    Strength,
    Threads,
    choose_existing,
    parse_strength,
    say,
    saying_warnings,
    show,
)
from espcn_cli.errors import UsageError
from espcn_cli.paths import STREAM, file_of
from espcn_cli.settings import DEFAULT_FOR_PICTURES, DEFAULT_SCALE, MAX_PIXELS, Alpha, Codec

if TYPE_CHECKING:
    from espcn_cli.upscaling.outcome import Outcome, Task
    from espcn_cli.upscaling.sizes import Size


BESIDE = ""
"""Stands for the destination where there is none, as every path is a source."""


class UpscaleCommand(Panelled):
    """Tells in words what is missing where one path stands alone, or none."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if ctx.resilient_parsing:  # a shell completes what is not finished yet
            return super().parse_args(ctx, args)
        words, _, _ = self.make_parser(ctx).parse_args(args=[*args])
        if words.get("beside") and isinstance(words["destination"], str):
            return super().parse_args(ctx, [*args, BESIDE])
        if words["sources"] or words.get("help") or words.get("help_all"):
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


def upscale(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE", help="Pictures, videos, .cbz and .zip, or folders; '-' is standard input."),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DESTINATION",
            help="A file for one source, a folder for several; a name that ends in a slash is a folder. "
            "'-' is standard output. With --beside there is none, and all paths are sources.",
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
    scale: ScaleInPasses = None,
    strength: Strength = "auto",
    size: Annotated[
        str | None,
        typer.Option(
            metavar="WxH|Wx|xH|N%",
            help="Exact size: the smallest scale that reaches it, then an antialiased resize. "
            "The aspect is kept unless both sides are given.",
        ),
    ] = None,
    fit: Annotated[
        str | None,
        typer.Option(metavar="WxH", help="The largest size that fits into this box; the aspect is always kept."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            metavar="PATTERN",
            help="Names of outputs in a folder, of the fields {stem}, {suffix}, {scale} and {model}, such as "
            "{stem}_x{scale}{suffix}. Default: the source's name; with --beside that pattern.",
        ),
    ] = None,
    beside: Annotated[
        bool,
        typer.Option("--beside", help="Write beside each source. What an earlier run wrote there is passed over."),
    ] = False,
    recursive: Annotated[bool, typer.Option("--recursive", "-r", help="Folders below too; the tree is kept.")] = False,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Pass over files and folders of this name or path below the source; may be repeated. Hidden ones "
            "and @eaDir always are.",
        ),
    ] = None,
    larger_than: Annotated[
        str | None,
        typer.Option(metavar="WxH|N", help="Only pictures that do not fit into this box, N for a square one."),
    ] = None,
    smaller_than: Annotated[
        str | None,
        typer.Option(metavar="WxH|N", help="Only pictures of which both sides are shorter than the box's."),
    ] = None,
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
    dpi: Annotated[
        int | None, typer.Option(min=1, max=30_000, help="Set the resolution for printing, in dots per inch.")
    ] = None,
    strip: Annotated[
        bool,
        typer.Option(
            "--strip",
            help="Keep no metadata but the colour profile: no EXIF, place, text or thumbnail, and no tags of videos.",
        ),
    ] = False,
    keep_time: Annotated[
        bool, typer.Option("--keep-time", help="Give outputs the modification time of their sources.")
    ] = False,
    lenient: Annotated[
        bool,
        typer.Option("--lenient", help="Take JPEGs and PNGs that were cut short; what is missing is grey."),
    ] = False,
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
    wrap: Annotated[
        bool,
        typer.Option("--wrap", help="Seamless textures: edges continue at the opposite side. Not for videos."),
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
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="Print each file's result as a line of JSON when it is finished.")
    ] = False,
    retry_failed: Annotated[
        str | None,
        typer.Option(metavar="LOG", help="Only what failed in the same command's --json or --json-lines, kept in LOG."),
    ] = None,
) -> None:
    """Upscale a picture or a video to a file, or many of them and folders to a folder.

    A video keeps its sound, subtitles, chapters, metadata, timestamps and colours (pip install 'espcn[video]').
    A .cbz or .zip keeps its order, folders, times and all files that are no pictures.
    Grey stays grey; transparency, colour profile, EXIF, 16 bits, pages and animations are kept where the format holds
    them; anything lost is reported. Photographs come out upright. An input is never overwritten, an existing output
    only with --overwrite; outputs appear whole or not at all; a file that fails is named and the others are done.
    """
    from espcn_cli import cores
    from espcn_cli.engines.opening import hint as engine_hint
    from espcn_cli.files import is_stream
    from espcn_cli.pictures import containers, opening, writing
    from espcn_cli.pictures.encoders import Coding
    from espcn_cli.pictures.video import Span
    from espcn_cli.pictures.wishes import Wishes
    from espcn_cli.upscaling import archive, film, naming, pipeline
    from espcn_cli.upscaling.choosing import Choosing, parse_box
    from espcn_cli.upscaling.outcome import exit_code
    from espcn_cli.upscaling.outputs import check_outputs
    from espcn_cli.upscaling.plan import plan, stream_format
    from espcn_cli.upscaling.preview import preview
    from espcn_cli.upscaling.retrying import only_failed
    from espcn_cli.upscaling.upscaler import load

    tile_size = parse_tile(tile)
    suffix = f".{format.lower().lstrip('.')}" if format is not None else None
    choose_existing(overwrite, skip_existing)
    if as_json and json_lines:
        raise UsageError("--json and --json-lines exclude each other: leave one of them out")
    check_options(cluster, cores_per_worker, threads, dry_run)
    films = film.FilmOptions(
        Coding(codec, crf, preset, pixel_format),
        Span(parse_time(start, "--start") or 0, parse_time(end, "--end"), frames),
        deinterlace,
        resume,
    )
    if beside:
        destination = BESIDE
    elif is_stdout(Path(destination)):
        destination = str(STREAM)
    streaming = destination == str(STREAM)
    if streaming and not dry_run:
        check_stdout(as_json or json_lines)
    options = pipeline.Options(
        size=parse_size(size, fit),
        depth=depth,
        lenient=lenient,
        wishes=Wishes(strip, dpi),
        keep_time=keep_time,
        encoding=writing.Encoding(quality, png_level),
        overwrite=overwrite,
        skip_existing=skip_existing,
        jobs=jobs,
        stream_format=stream_format(suffix, Path(destination))
        if streaming or (destination and is_stream(Path(destination)))
        else "PNG",
        max_output=pipeline.GROWTH * max_pixels,
        film=films,
        archive=archive.ArchiveOptions(suffix if suffix not in containers.MUXERS else None),
    )
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")  # of odd files; errors are ours to say
    opening.limit_pixels(max_pixels)
    cores.limit(threads)
    choosing = Choosing(
        exclude or (),
        parse_box(larger_than, "--larger-than") if larger_than is not None else None,
        parse_box(smaller_than, "--smaller-than") if smaller_than is not None else None,
    )
    resized = options.size is not None
    pattern = name if name is not None or not beside else naming.BESIDE_RESIZED if resized else naming.BESIDE
    if pattern and resized and "{scale}" in pattern:
        raise UsageError("--name with {scale} goes with --scale: --size and --fit choose one for each picture")
    names = naming.naming_of(pattern, model, scale) if pattern is not None else None
    planned = plan(sources, None if beside else destination, recursive, suffix, names, choosing)
    check_kinds(planned, films != film.FilmOptions(), lenient or {quality, png_level, depth, dpi} != {None}, wrap)
    if retry_failed is not None:
        planned = only_failed(planned, file_of(retry_failed))
    tasks = check_outputs(planned, overwrite, skip_existing)
    how: dict[str, Any] = {"strength": parse_strength(strength), "engine": engine, "precision": precision}
    how |= {"tile": tile_size, "ensemble": ensemble, "alpha": alpha, "wrap": wrap}
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
        report_passed(choosing)
    if dry_run:
        outcomes = show_expected(preview(upscaler, tasks, options), as_json, quiet, verbose, json_lines)
    else:
        outcomes = do_all(work, tasks, options, as_json, quiet, verbose, json_lines)
        if not (as_json or json_lines or quiet or streaming):
            show(summarise(outcomes, count_others(sources, recursive, choosing)))
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
        raise UsageError("JSON and the picture cannot both go to standard output")


def parse_size(size: str | None, fit: str | None) -> Size | None:
    """What --size or --fit asks for. Raises UsageError if both do, or either asks for none."""
    from espcn_cli.upscaling import sizes

    if size is not None and fit is not None:
        raise UsageError("--size and --fit exclude each other: leave one of them out")
    if fit is not None:
        return sizes.parse_fit(fit)
    return sizes.parse(size) if size is not None else None


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


def check_kinds(tasks: list[Task | Outcome], for_videos: bool, for_pictures: bool, wrap: bool = False) -> None:
    """Raise UsageError if options were given for videos or for pictures alone, and there are none of them."""
    from espcn_cli.upscaling.outcome import Task
    from espcn_cli.upscaling.wrap import VIDEO

    kinds = {task.video is not None for task in tasks if isinstance(task, Task)}
    if kinds == {False} and for_videos:
        raise UsageError("options for videos (--codec to --resume) were given, and no source is one: leave them out")
    if kinds == {True} and wrap:
        raise UsageError(VIDEO)
    if kinds == {True} and for_pictures:
        raise UsageError(
            "--quality, --png-level, --depth, --dpi and --lenient are for pictures; "
            "--crf and --pixel-format are for videos"
        )
