"""What becomes what, decided before any work starts: `cp`'s rules, sources first, destination last."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.files import check_destination, is_folder, is_stream, is_there
from espcn_cli.paths import STREAM, Typed, names_folder, path_of, source_of
from espcn_cli.pictures import containers, pipes, writing, zipped
from espcn_cli.pictures.folders import SUFFIXES, find_images, source_name
from espcn_cli.upscaling.choosing import MADE_BEFORE, Choosing
from espcn_cli.upscaling.naming import Naming
from espcn_cli.upscaling.outcome import Outcome, Task


def plan(
    sources: Sequence[Typed],
    destination: Typed | None,
    recursive: bool = False,
    suffix: str | None = None,
    naming: Naming | None = None,
    choosing: Choosing | None = None,
) -> list[Task | Outcome]:
    """File to file; files and folders to a folder, which keeps the tree with `recursive` and is made if need be.

    A new name without a suffix is a folder's, and so is any that ends in a slash. `suffix` (".webp", ".mkv") sets the
    format in a folder, of pictures or of videos: their first bytes say which they are. "-" is standard input and
    standard output, each for one of them. Without a destination, outputs lie beside their sources. `naming` names what
    goes to folders: what an earlier run has made so beside its source is no source then. `choosing` says what is
    passed over, and counts it; the list may be empty for that. A source that is not there, or a folder that cannot be
    listed, becomes an Outcome with an error. Raises UsageError if an output would be an input, two outputs would be
    one, the destination does not suit the sources, or the format cannot be written.
    """
    pipes.forget()
    if suffix and suffix not in containers.MUXERS:
        writing.format_of(Path(f"-f {suffix}"))
    choosing = choosing or Choosing()
    paths = [path_of(source) for source in sources]
    place, named = (path_of(destination), names_folder(destination)) if destination is not None else (None, True)
    if STREAM in (*paths, place):
        if place is None:
            raise UsageError("standard input has no folder that its output could lie in: leave out --beside")
        if naming or choosing.larger or choosing.smaller:
            raise UsageError("--name, --larger-than and --smaller-than are for files: leave them out")
        return [_stream_task(paths, place, named, suffix)]
    present, failed = _look_up(sources, place)
    closed: list[OSError] = []
    to_folder = place is None or named or is_folder(place) or not (place.suffix or is_stream(place))
    if len(paths) == 1 and not is_folder(paths[0]) and not to_folder:
        assert place is not None
        if naming:
            raise UsageError(f"{place} is a name already: --name is for outputs in a folder, or --beside", place)
        present = [path for path in present if not choosing.excludes_named(path) and choosing.fits(path)]
        kinds = [_kind_of(source, place) for source in present]
        _check_file(present, place, suffix, any(kinds))
        tasks = [
            Task(source, place, video=kind, archive=zipped.is_archive(source))
            for source, kind in zip(present, kinds, strict=True)
        ]
    else:
        if place is not None:
            _check_folder(paths, place, recursive, named)
        found = _find(present, place, recursive, naming, choosing, closed.append)
        tasks = _folder_tasks(found, place, suffix, naming)
    _refuse_collisions(tasks)
    failed += [_failed(Path(error.filename), place, f"cannot be read ({error.strerror})") for error in closed]
    if not (tasks or failed or choosing.describe()):
        below = "" if recursive else " (folders below it are read with -r)"
        raise EspcnError(f"no pictures in {', '.join(map(str, sources))}{below}")
    return [*failed, *tasks]


def stream_format(suffix: str | None, destination: Path = STREAM) -> str:
    """Pillow's name of the format for standard output, a pipe or a device: what `-f` or its name says, else PNG.

    FFmpeg's name for a video's.
    """
    named = suffix or destination.suffix.lower()
    if named in containers.MUXERS:
        return containers.MUXERS[named]
    suffix = suffix or (destination.suffix if writing.is_writable(destination) else ".png")
    return writing.format_of(Path(f"standard output{suffix}"))


def _kind_of(source: Path, named: Path) -> str | None:
    """As `kind_of`; a named pipe is not waited for where a name says that it is a picture's."""
    if source != STREAM and pipes.reads_once(source) and named.suffix.lower() in SUFFIXES:
        return None
    return containers.kind_of(source)


def _look_up(sources: Sequence[Typed], destination: Path | None) -> tuple[list[Path], list[Outcome]]:
    """The sources that are there, and why others are not."""
    present, failed = [], []
    for source in sources:
        path = path_of(source)
        try:
            if not is_there(source_of(source)):
                failed.append(_failed(path, destination, "no such file or folder"))
            elif (kind := zipped.other_kind(path)) and not is_folder(path):
                failed.append(_failed(path, destination, zipped.unread(kind)))
            else:
                present.append(path)
        except EspcnError as error:
            failed.append(Outcome(Task(path, destination or path.parent), error=str(error)))
    return present, failed


def _failed(source: Path, destination: Path | None, reason: str) -> Outcome:
    return Outcome(Task(source, destination or source.parent), error=f"{source}: {reason}")


def _stream_task(sources: list[Path], destination: Path, named: bool, suffix: str | None) -> Task:
    if len(sources) != 1 or is_folder(sources[0]):
        raise UsageError("'-' is for one picture or video: name one source, not several or a folder")
    if named or is_folder(destination):
        raise UsageError(f"{destination} is a folder: a picture from standard input needs a file name, or '-'")
    if zipped.is_archive(sources[0]):
        raise UsageError(f"{sources[0]} is an archive, which cannot go to standard output: name a file or a folder")
    kind = _kind_of(sources[0], destination)
    if destination != STREAM:
        _check_file(sources, destination, suffix, kind is not None)
    elif kind is None and suffix in containers.MUXERS:
        raise UsageError(f"-f {suffix}: {source_name(sources[0])} is no video: name a format of pictures")
    return Task(sources[0], destination, video=kind)


def _check_file(sources: list[Path], destination: Path, suffix: str | None, video: bool) -> None:
    """`sources`: the one that goes there, if it is there itself."""
    if is_stream(destination):
        check_destination(destination, streams=True)
        return
    if zipped.is_archive(destination) or any(map(zipped.is_archive, sources)):
        _check_archive(sources, destination)
        return
    for_videos = destination.suffix.lower() in containers.SUFFIXES - SUFFIXES
    if sources and for_videos and not video:
        raise UsageError(f"{source_name(sources[0])} is no video that can be read: it cannot become {destination}")
    format_of = containers.muxer_of if video or for_videos else writing.format_of
    try:
        kind = format_of(destination)
    except UsageError as error:
        folder = "" if is_there(destination) else f", or {destination}{os.sep} for a folder"
        raise UsageError(f"{error}{folder}", destination) from None
    if suffix and kind != format_of(Path(f"-f {suffix}")):
        raise UsageError(f"{destination} and -f {suffix} name different formats: leave one of them out")
    if not is_there(destination):  # what becomes of one that is there is for `outputs` to say
        check_destination(destination)


def _check_archive(sources: list[Path], destination: Path) -> None:
    if not zipped.is_archive(destination):
        raise UsageError(f"{sources[0]} is an archive: it cannot become {destination}; name a .cbz, a .zip or a folder")
    if sources and not zipped.is_archive(sources[0]):
        raise UsageError(f"{source_name(sources[0])} is no archive: it cannot become {destination}")
    if not is_there(destination):
        check_destination(destination)


def _check_folder(sources: list[Path], destination: Path, recursive: bool, named: bool) -> None:
    """`named`: the name itself says that it is a folder's."""
    if os.path.lexists(destination) and not is_folder(destination):
        raise UsageError(f"{destination} is a file: several pictures or a folder need a folder to go to")
    known = SUFFIXES | containers.SUFFIXES | zipped.SUFFIXES
    if not (named or is_folder(destination)) and destination.suffix.lower() in known:
        suffix = destination.suffix.lower()
        what = "a picture" if suffix in SUFFIXES else "an archive" if suffix in zipped.SUFFIXES else "a video"
        raise UsageError(f"{destination} looks like {what}: several pictures or a folder need a folder to go to")
    for source in sources if recursive else []:
        if is_folder(source) and _real(destination).is_relative_to(_real(source)):
            raise UsageError(f"{destination} lies inside {source}: choose a destination outside of it")


def _real(path: Path) -> Path:
    """As `Path.resolve`, but links that go round are left as they are instead of an error."""
    return Path(os.path.realpath(path))


# --- names in a folder -----------------------------------------------------------------------------------------------


def _find(
    sources: list[Path],
    destination: Path | None,
    recursive: bool,
    naming: Naming | None,
    choosing: Choosing,
    on_error: Callable[[OSError], None],
) -> list[tuple[Path, Path]]:
    """The sources, each with the folder that its place in the output tree is relative to."""
    found = list(dict.fromkeys(pair for top in sources for pair in _pictures(top, recursive, choosing, on_error)))
    if naming:
        beside = [source for source, root in found if destination is None or _stays(source, root, destination)]
        before = naming.made_before(beside)
        choosing.passed[MADE_BEFORE] += sum(source in before for source, _ in found)
        found = [pair for pair in found if pair[0] not in before]
    return [pair for pair in found if choosing.fits(pair[0])]


def _stays(source: Path, root: Path, destination: Path) -> bool:
    """Whether what becomes of a source lies in the source's folder."""
    return _real(destination / source.relative_to(root).parent) == _real(source.parent)


def _pictures(
    source: Path, recursive: bool, choosing: Choosing, on_error: Callable[[OSError], None]
) -> Iterator[tuple[Path, Path]]:
    """Pictures with the folder that their place in the output tree is relative to."""
    if is_folder(source):
        suffixes = SUFFIXES | containers.SUFFIXES | zipped.SEARCHED
        found = find_images(source, recursive, on_error, suffixes, choosing.excludes)
        yield from ((path, source) for path in found)
    elif not choosing.excludes_named(source):
        yield source, source.parent


def _folder_tasks(
    found: list[tuple[Path, Path]], destination: Path | None, suffix: str | None, naming: Naming | None
) -> list[Task]:
    """A source keeps its name but for the suffix; of those that would share an output, only one may.

    That is the source whose suffix does not change. The others append the new suffix to their whole name, so that
    names depend on nothing but the list of sources, and a second run finds the same. `naming` takes it from there.
    """
    kinds = [_kind_of(source, source) for source, _ in found]
    places = [source if destination is None else destination / source.relative_to(root) for source, root in found]
    outputs = [
        place if zipped.is_archive(source) else _with_suffix(place, suffix, kind is not None)
        for (source, _), place, kind in zip(found, places, kinds, strict=True)
    ]
    shared = {output for output, times in Counter(outputs).items() if times > 1}
    given_up = [output in shared and output != place for place, output in zip(places, outputs, strict=True)]
    taken = {output for output, gives_up in zip(outputs, given_up, strict=True) if not gives_up}
    rename = naming or (lambda output: output)
    return [
        Task(
            source,
            rename(_whole_name(place, output.suffix, taken) if gives_up else output),
            gives_up,
            kind,
            zipped.is_archive(source),
        )
        for (source, _), place, output, gives_up, kind in zip(found, places, outputs, given_up, kinds, strict=True)
    ]


def _with_suffix(place: Path, suffix: str | None, video: bool) -> Path:
    """The file for what would lie there if its format stayed: with `suffix`, or .png or .mp4 if it must be."""
    if suffix is not None and (suffix in containers.MUXERS) != video:  # it is meant for the others
        suffix = None
    if suffix is None and not (place.suffix.lower() in containers.MUXERS if video else writing.is_writable(place)):
        suffix = ".mp4" if video else ".png"
    return place if suffix is None else place.with_name(f"{place.stem}{suffix}")


def _whole_name(place: Path, suffix: str, taken: set[Path]) -> Path:
    """`hopper.ico` -> `hopper.ico.png`, with the suffix once more while a source that keeps its name has that one.

    Two of these never meet: none of them ended in the suffix before, or it would have kept its name.
    """
    name = place.with_name(place.name + suffix)
    while name in taken:
        name = name.with_name(name.name + suffix)
    return name


def _refuse_collisions(tasks: list[Task]) -> None:
    inputs = {_real(task.source) for task in tasks}
    seen: dict[Path, Path] = {}
    for task in tasks:
        target = _real(task.output)
        if target in inputs:
            raise UsageError(f"{task.output} is an input and would be overwritten: choose another destination")
        if target in seen:
            both = f"{seen[target]} and {task.source} would both become {task.output}"
            raise UsageError(f"{both}: upscale the folder above them with -r, or use two commands")
        seen[target] = task.source
