"""The finished video: encoded frames and all other streams of the source, as they are, in one container."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from io import BytesIO
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError
from espcn_cli.pictures.encoders import Encoder
from espcn_cli.pictures.parts import Parts
from espcn_cli.pictures.video import DROPPED_WORDS, Video, main_stream

USUAL = frozenset(
    (
        *(
            "title",
            "artist",
            "album_artist",
            "album",
            "date",
            "comment",
            "genre",
            "copyright",
            "description",
            "composer",
        ),
        *(
            "synopsis",
            "show",
            "episode_id",
            "network",
            "lyrics",
            "grouping",
            "track",
            "disc",
            "creation_time",
            "keywords",
        ),
        *(
            "encoder",
            "major_brand",
            "minor_version",
            "compatible_brands",
            "episode_sort",
            "season_number",
            "hd_video",
            "timecode",
        ),
    )
)
"""Words about a film that MP4 has places of their own for; others need a table that fewer players read."""

FROM_ZERO = ("mpegts", "avi")
"""Containers that have no moments before 0."""

OF_THE_FILE = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration")
"""Words about a file that are not true of the next one."""


FOR_PLAYERS = ("language", "title", "filename", "mimetype")
"""Words of a stream that are no metadata: which track it is, and of an attachment what it is."""


@dataclass
class Extra:
    """A stream that is copied: where it goes, and the last moment that was written to it."""

    target: Any
    name: str
    last: int | None = None
    lost: bool = False


def join(
    parts: Parts,
    encoder: Encoder,
    video: Video | None,
    time_base: Fraction,
    muxer: str,
    path: Path,
    shift: bool,
    cut: bool,
    strip: bool = False,
) -> list[str]:
    """Write a container at `path`, and say what it cannot hold. `video` None: there is nothing to copy.

    `time_base` is that of the parts' timestamps. With `shift` the first frame is at 0, else every timestamp stays; with
    `cut` only what belongs to the frames is copied; `strip` as in `outline`. Raises EspcnError if it cannot be written.
    """
    import av

    source = video.again() if video else None
    try:
        with av.open(f"file:{path}", "w", format=muxer, options=options_of(muxer, source)) as container:
            return _written(parts, encoder, video, source, time_base, container, muxer, shift, cut, strip)
    except (av.FFmpegError, OSError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise EspcnError(f"cannot write {parts.output} ({what}): nothing was changed", parts.output) from None
    finally:
        if source is not None:
            source.close()


def options_of(muxer: str, source: Any) -> dict[str, str]:
    if muxer in ("mp4", "mov") and source is not None and set(source.metadata) - USUAL and not _covers(source):
        return {"movflags": "use_metadata_tags"}  # in the place of the table that covers are in
    return {"mpegts_copyts": "1"} if muxer == "mpegts" else {}


def _covers(container: Any) -> int:
    return sum(map(_is_cover, container.streams))


def _written(
    parts: Parts,
    encoder: Encoder,
    video: Video | None,
    source: Any,
    time_base: Fraction,
    container: Any,
    muxer: str,
    shift: bool,
    cut: bool,
    strip: bool,
) -> list[str]:
    pts = [moment for part in parts.done for moment in part.pts]
    durations = [duration for part in parts.done for duration in part.durations]
    ends = [*pts[1:], pts[-1] + (durations[-1] or max(round(1 / (encoder.rate * time_base)), 1))]
    origin = pts[0] if shift else 0
    end = ends[-1] * time_base if cut else None
    stream, extras, notes = outline(container, video, source, encoder, time_base, muxer, origin * time_base, end, strip)
    reach = max((index - number for index, number in enumerate(_numbers(parts))), default=0)
    window = (pts[0] * time_base, ends[-1] * time_base) if cut else None
    if muxer in FROM_ZERO:
        step = (pts[1] - pts[0]) if len(pts) > 1 else 1
        origin -= max(reach * step - (pts[0] - origin), 0)
    written = _frames(parts, pts, ends, reach, origin, time_base, stream)
    others = iter(()) if source is None else copied(source, extras, origin * time_base, window)
    _interleave(container, written, others, {extra.target.index: extra for extra in extras.values()})
    return notes + broken_off(extras, muxer)


def broken_off(extras: dict[int, Extra], muxer: str) -> list[str]:
    return [f"{extra.name} breaks off: {muxer} refused a part of it" for extra in extras.values() if extra.lost]


def outline(
    container: Any,
    video: Video | None,
    source: Any,
    encoder: Encoder,
    time_base: Fraction,
    muxer: str,
    first: Fraction,
    last: Fraction | None,
    strip: bool = False,
) -> tuple[Any, dict[int, Extra], list[str]]:
    """All streams of a container and what stands beside them, before anything is written to it.

    Returns the stream of the frames, those that are copied, by their number in the source, and what is lost. `first`
    and `last` are the moments of the source where the new one begins and ends; None for its own end. With `strip` tags,
    covers and data streams stay behind, but for what players need: languages, names of tracks, chapters.
    """
    stream = encoder.stream(container)
    stream.time_base = time_base
    notes: list[str] = []
    if video is None or source is None:
        return stream, {}, notes
    chosen = main_stream(source)
    _describe(stream, chosen)
    if video.matrix:
        stream.set_display_matrix(video.matrix)
    if not strip:
        words = {key: value for key, value in source.metadata.items() if key.lower() not in OF_THE_FILE}
        container.metadata.update(words)
    extras = _add_streams(container, source, chosen, stream, muxer, notes, strip)
    for made in container.streams if strip else ():
        _keep_for_players(made.metadata)
    _add_chapters(container, source, first, last)
    return stream, extras, notes


def _numbers(parts: Parts) -> Iterator[int]:
    return (number for part in parts.done for number, _, _ in part.packets)


def _frames(
    parts: Parts, pts: list[int], ends: list[int], reach: int, origin: int, time_base: Fraction, stream: Any
) -> Iterator[tuple[Fraction, Any]]:
    """The video's packets with the moments of their frames: each is decoded `reach` frames before its turn."""
    import av

    step = max(pts[1] - pts[0], 1) if len(pts) > 1 else 1
    for index, (number, key, data) in enumerate(parts.packets()):
        packet = av.Packet(data)
        packet.stream, packet.time_base, packet.is_keyframe = stream, time_base, key
        packet.pts = pts[number] - origin
        earlier = pts[index - reach] if index >= reach else pts[0] - (reach - index) * step
        packet.dts = earlier - origin
        packet.duration = ends[number] - pts[number]
        yield packet.dts * time_base, packet


def copied(
    source: Any,
    extras: dict[int, Extra],
    origin: Fraction,
    window: tuple[Fraction, Fraction | None] | None,
    beside: Any = None,
) -> Iterator[tuple[Fraction, Any]]:
    """The packets of all other streams, at their own moments less `origin`; those that begin in a window of time.

    `beside`: a stream of the source whose packets are not copied, but tell how far it is: None at their moments.
    """
    import av

    streams = [stream for stream in source.streams if stream.index in extras or stream is beside]
    packets = source.demux(streams) if extras else iter(())
    while True:
        try:
            packet = next(packets)
        except (StopIteration, av.FFmpegError, OSError):  # what is cut off was reported of the frames
            return
        cover = _is_cover(packet.stream)
        if cover and packet.size:
            packet.pts = packet.dts = 0
        if not packet.size or (packet.dts is None and packet.pts is None):
            continue
        moment = packet.dts if packet.dts is not None else packet.pts
        if packet.stream_index not in extras:
            yield moment * packet.time_base - origin, None
            continue
        extra = extras[packet.stream_index]
        begins = (packet.pts if packet.pts is not None else moment) * packet.time_base
        if window and (begins < window[0] or (window[1] is not None and begins >= window[1])) and not cover:
            continue
        offset = 0 if cover else round(origin / packet.time_base)
        moment -= offset
        packet.pts = None if packet.pts is None else packet.pts - offset
        if extra.last is not None and moment <= extra.last and packet.stream.type in ("audio", "video"):
            moment = extra.last + 1
        packet.dts = extra.last = moment
        packet.pts = moment if packet.pts is None else max(packet.pts, moment)
        time = moment * packet.time_base
        packet.stream = extra.target
        yield time, packet


def _is_cover(stream: Any) -> bool:
    return bool(int(stream.disposition) & (1 << 10))


def _interleave(
    container: Any,
    first: Iterator[tuple[Fraction, Any]],
    second: Iterator[tuple[Fraction, Any]],
    extras: dict[int, Extra],
) -> None:
    """Write both in the order of their moments, so that the muxer holds little.

    What it does not take of the second is left out, and its stream is marked.
    """
    import av

    left, right = next(first, None), next(second, None)
    while left or right:
        if right is None or (left is not None and left[0] <= right[0]):
            assert left is not None
            container.mux(left[1])
            left = next(first, None)
        else:
            try:
                container.mux(right[1])
            except av.ArgumentError:
                extras[right[1].stream_index].lost = True
            right = next(second, None)


# --- what is beside the frames ---------------------------------------------------------------------------------------


def _describe(target: Any, source: Any) -> None:
    """A stream's words and its role."""
    target.metadata.update({key: value for key, value in source.metadata.items() if not key.startswith(DROPPED_WORDS)})
    target.disposition = int(source.disposition)


def _add_streams(
    container: Any, source: Any, chosen: Any, made: Any, muxer: str, notes: list[str], strip: bool
) -> dict[int, Extra]:
    """A place for every stream but the one that is made anew; those that the container cannot hold are told."""
    extras = {}
    for stream in source.streams:
        if stream.index == chosen.index or (strip and (stream.type == "data" or _is_cover(stream))):
            continue
        if stream.type == "data" and "timecode" in stream.metadata and muxer in ("mp4", "mov"):
            made.metadata.setdefault("timecode", stream.metadata["timecode"])  # of which the muxer makes the stream
            continue
        if _tells_chapters(stream, source):
            continue
        if not _holds(muxer, stream):
            notes.append(f"{_name(stream)} is lost: {muxer} cannot hold it; .mkv holds most")
            continue
        target = container.add_stream_from_template(stream, opaque=True)
        target.metadata.update(stream.metadata)
        target.disposition = int(stream.disposition)
        extras[stream.index] = Extra(target, _name(stream))
    return extras


def _keep_for_players(words: Any) -> None:
    """Take all words of a stream but those that players show to choose it by."""
    for key in [key for key in words if key.lower() not in FOR_PLAYERS]:
        del words[key]


def _tells_chapters(stream: Any, source: Any) -> bool:
    """Whether a stream of MP4 holds the titles of its chapters, which are read as such and written anew."""
    named = stream.type == "data" and stream.name == "bin_data"
    return bool(named and "mov" in source.format.name and source.chapters())


def _holds(muxer: str, stream: Any) -> bool:
    """Whether a container takes a stream as it is: tried, as no table tells."""
    import av

    try:
        trial = av.open(BytesIO(), "w", format=muxer)
    except (av.FFmpegError, ValueError):
        return False
    try:
        target = trial.add_stream_from_template(stream, opaque=True)
        target.metadata.update(stream.metadata)
        if _is_cover(stream) or stream.type in ("subtitle", "data", "attachment"):
            beside = trial.add_stream("mpeg4" if muxer not in ("webm",) else "libvpx-vp9", rate=25)
            beside.width = beside.height = 16
        trial.start_encoding()
    except (av.FFmpegError, OSError, ValueError, MemoryError):
        return False
    finally:
        _quietly(trial.close)
    return True


def _quietly(close: Callable[[], None]) -> None:
    import av

    with suppress(av.FFmpegError, OSError, ValueError):
        close()


def _name(stream: Any) -> str:
    codec = (
        stream.codec_context.name if stream.codec_context is not None else (getattr(stream, "name", None) or "unknown")
    )
    language = f", {stream.language}" if stream.metadata.get("language") else ""
    return f"stream {stream.index} ({stream.type}, {codec}{language})"


def _add_chapters(container: Any, source: Any, first: Fraction, last: Fraction | None) -> None:
    """The chapters, moved and cut to what is there."""
    chapters = []
    for chapter in source.chapters():
        base = chapter["time_base"]
        start, end = chapter["start"] * base - first, chapter["end"] * base - first
        if last is not None and (end <= 0 or start >= last - first):
            continue
        start, end = max(start, Fraction(0)), end if last is None else min(end, last - first)
        chapters.append({**chapter, "start": round(start / base), "end": round(end / base)})
    if chapters:
        container.set_chapters(chapters)


def lost_words(video: Video, made: Path | BytesIO, muxer: str, cut: bool, strip: bool = False) -> list[str]:
    """What of the source is not in the finished file, found by looking at both: words, chapters, shape of pixels.

    `made` may be the beginning of one. With `strip` nothing is said of what was to stay behind.
    """
    import av

    notes: list[str] = []
    place = made if isinstance(made, BytesIO) else f"file:{made}"
    with av.open(place, format=video_format(muxer), metadata_errors="replace") as after:
        before = video.again()
        try:
            words = {key.lower() for key in after.metadata}
            gone = sorted(key for key in before.metadata if key.lower() not in {*words, *OF_THE_FILE})
            if gone and not strip:
                notes.append(f"metadata that {muxer} cannot hold: {', '.join(gone)}")
            if not cut and len(before.chapters()) != len(after.chapters()):
                notes.append(f"chapters are lost: {muxer} cannot hold them")
            if _covers(before) > _covers(after) and not strip:
                notes.append(f"the picture of its cover is lost: {muxer} cannot hold it")
            aspect = main_stream(after).sample_aspect_ratio or Fraction(1)
            if (video.clip.aspect or Fraction(1)) != aspect:
                notes.append(f"the shape of its pixels, {video.clip.aspect}, is lost: {muxer} has no place for it")
        finally:
            before.close()
    return notes


def video_format(muxer: str) -> str:
    """The name of the demuxer for what a muxer writes."""
    return {"mp4": "mov", "webm": "matroska"}.get(muxer, muxer)
