"""`espcn upscale clip.mp4 clip_x2.mp4`: as fast as it goes, nothing lost, nothing out of step."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from command import COMMAND, one_line, run, run_process, strict_json, texts
from making import save_picture

from espcn_cli.maths.sited import Step, resample
from espcn_cli.network import checkpoint
from espcn_cli.pictures import parts
from espcn_cli.pictures.planes import Clip, Colours, layout_of
from espcn_cli.upscaling.upscaler import Upscaler, load

av = pytest.importorskip("av")

from making_films import Film, moving_planes, packets_of, read_film  # noqa: E402

Upscale = Callable[..., Any]

LOSSLESS = ("--codec", "ffv1")


@pytest.fixture
def upscale(tiny: Path, tmp_path: Path) -> Upscale:
    """The command with a tiny network, in the test's folder."""

    def do(*arguments: object, **options: Any) -> Any:
        return run("upscale", "-m", tiny, *arguments, **{"cwd": tmp_path, **options})

    return do


def film(path: Path, format: str = "yuv420p", count: int = 5, width: int = 32, height: int = 24, **more: Any) -> Path:
    layout = layout_of(format)
    assert layout is not None
    return Film(moving_planes(count, width, height, layout), format, **more).save(path)


def test_a_bare_video_keeps_what_players_need_and_its_time(upscale: Upscale, tmp_path: Path) -> None:
    source = with_words(tmp_path / "a.mkv")
    os.utime(source, ns=(10**18, 10**18 + 5))
    assert upscale("a.mkv", "b.mkv", "--strip", "--keep-time", "-q").stderr == ""
    assert (tmp_path / "b.mkv").stat().st_mtime_ns == 10**18 + 5
    with av.open(str(tmp_path / "b.mkv")) as container:
        assert {key.lower() for key in container.metadata} <= {"encoder", "duration"}
        [video, sound] = container.streams
        assert sound.metadata["language"] == "fra" and "Comment" not in video.metadata
        assert len(container.chapters()) == 1
    assert upscale("a.mkv", "c.y4m", "--keep-time", "-q").code == 0
    assert (tmp_path / "c.y4m").stat().st_mtime_ns == 10**18 + 5


def with_words(path: Path) -> Path:
    """A video with sound, a chapter and tags."""
    film(path.with_name("bare.mkv"), count=8)
    with av.open(str(path.with_name("bare.mkv"))) as bare, av.open(str(path), "w") as container:
        container.metadata.update({"title": "A walk", "location": "+48+011/"})
        copied = container.add_stream_from_template(bare.streams.video[0])
        copied.metadata["comment"] = "private"
        sound: Any = container.add_stream("pcm_s16le", rate=8000)
        sound.metadata["language"] = "fra"
        container.set_chapters([{"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {}}])
        for packet in bare.demux(video=0):
            if packet.dts is not None:
                packet.stream = copied
                container.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1600), np.int16), format="s16", layout="mono")
        silence.sample_rate, silence.pts = 8000, 0
        container.mux([*sound.encode(silence), *sound.encode(None)])
    return path


def test_no_video_is_wrapped(upscale: Upscale, tmp_path: Path) -> None:
    film(tmp_path / "in" / "a.mkv")
    one_line(upscale("in/a.mkv", "b.mkv", "--wrap"), 2, "--wrap is for textures: the frames of a video do not")
    save_picture(tmp_path / "in" / "b.png")
    for more in ((), ("--dry-run",)):
        one_line(upscale("in", f"out{len(more)}", "--wrap", "-q", *more), 1, "in/a.mkv: --wrap is for textures")
    assert os.listdir(tmp_path / "out0") == ["b.png"]


# --- planes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("format", "full"),
    [
        *(("gray", False), ("yuv420p", False), ("yuv420p", True), ("yuv422p10le", False), ("yuv444p", False)),
        *(("yuv420p10le", False), ("yuv444p12le", False), ("yuv440p", False), ("yuv411p", False), ("gray10le", False)),
    ],
)
def test_every_frame_is_what_the_picture_path_makes_of_its_planes(
    tmp_path: Path, upscale: Upscale, tiny: Path, format: str, full: bool
) -> None:
    source = film(tmp_path / "a.mkv", format, width=34, height=26, colours=(2 if full else 1, 2, 2, 2))
    assert upscale("a.mkv", "b.mkv", *LOSSLESS).code == 0
    before, after = read_film(source)[0], read_film(tmp_path / "b.mkv")[0]
    layout = layout_of(format)
    assert layout is not None
    clip = Clip((34, 26), layout, Fraction(1, 25), Fraction(25), Colours(full))
    engine = load(str(tiny)).engine
    top, left = clip.offsets
    assert len(after) == len(before) == 5
    for small, large in zip(before, after, strict=True):
        [luma] = engine.upscale([small[0][..., None]], clip.black, clip.white)
        assert np.array_equal(large[0], luma[..., 0])
        for plane, enlarged, shape in zip(small[1:], large[1:], layout.shapes((68, 52))[1:], strict=True):
            assert np.array_equal(enlarged, resample(plane, shape, Step(2, top, top), Step(2, left, left), layout.most))


def test_rgb_and_transparency_stay_where_the_codec_has_them(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "rgb.avi", "gbrp", codec="utvideo", colours=(2, 2, 2, 0))
    film(tmp_path / "clear.mkv", "yuva420p")
    assert upscale("rgb.avi", "rgb_x2.mkv", *LOSSLESS).code == 0
    result = upscale("clear.mkv", "clear_x2.mkv", *LOSSLESS)
    assert (result.code, result.stderr) == (0, "")
    for name, planes in (("rgb", 3), ("clear", 4)):
        [first, *_] = read_film(tmp_path / f"{name}_x2.mkv")[0]
        assert [plane.shape for plane in first].count((48, 64)) == (3 if planes == 3 else 2)
        assert len(first) == planes
    lossy = upscale("clear.mkv", "clear_x2.mp4")
    assert "transparency is lost" in lossy.stderr
    assert upscale("rgb.avi", "rgb_x2.mp4", "-m", "espcn-s").code == 0
    small, large = read_film(tmp_path / "rgb.avi")[0][0], read_film(tmp_path / "rgb_x2.mp4")[0][0]
    green = 0.2126 * small[2].mean() + 0.7152 * small[0].mean() + 0.0722 * small[1].mean()
    assert abs((large[0].mean() - 16) * 255 / 219 - green) < 2  # BT.709, as it says


def test_an_exact_size_and_another_pixel_format(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", "yuv444p")
    assert (
        upscale("a.mkv", "b.mkv", *LOSSLESS, "--size", "50x", "--pixel-format", "yuv420p10le", "-m", "espcn-s").code
        == 0
    )
    [first, *_] = read_film(tmp_path / "b.mkv")[0]
    assert [plane.shape for plane in first] == [(38, 50), (19, 25), (19, 25)]
    before = read_film(tmp_path / "a.mkv")[0][0]
    assert first[0].dtype == np.uint16
    for small, large in zip(before, first, strict=True):
        assert abs(float(large.mean()) / 4 - small.mean()) < 1.5


@pytest.mark.parametrize("codec", ["ffv1", "h264", "vp9"])
def test_odd_sizes(tmp_path: Path, upscale: Upscale, codec: str) -> None:
    film(tmp_path / "a.mkv", width=33, height=25)
    result = upscale("a.mkv", "b.mkv", "--codec", codec, "--size", "99x75")
    assert result.code == 0, result.stderr
    [first, *_] = read_film(tmp_path / "b.mkv")[0]
    assert first[0].shape == ((76, 100) if codec == "h264" else (75, 99))
    assert ("even sides" in result.stderr) == (codec == "h264")


# --- nothing lost, nothing out of step -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_variable_moments_stay_frame_by_frame(tmp_path: Path, upscale: Upscale, suffix: str) -> None:
    moments = [0, 40, 41, 200, 333, 1000, 1001, 1500]
    film(tmp_path / f"a{suffix}", count=8, codec="libx264", pts=moments, time_base=Fraction(1, 1000), rate=Fraction(25))
    assert upscale(f"a{suffix}", f"b{suffix}").code == 0
    assert read_film(tmp_path / f"b{suffix}")[1] == [Fraction(moment, 1000) for moment in moments]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".webm", ".avi", ".ts"])
def test_every_container(tmp_path: Path, upscale: Upscale, suffix: str) -> None:
    codec = {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264")
    source = film(tmp_path / f"a{suffix}", count=9, codec=codec)
    result = upscale(f"a{suffix}", f"b{suffix}")
    assert (result.code, result.stderr) == (0, "")
    before, after = read_film(source)[1], read_film(tmp_path / f"b{suffix}")[1]
    assert len(after) == 9
    assert [later - first for first, later in pairwise(after)] == [later - first for first, later in pairwise(before)]
    if suffix != ".ts":  # which has no moments before 0, so that frames that are decoded early push all others
        assert after == before


def test_all_other_streams_are_copied_bit_by_bit(tmp_path: Path, upscale: Upscale) -> None:
    source = film(
        tmp_path / "a.mkv",
        count=12,
        codec="libx264",
        sound=True,
        subtitles=True,
        attachment=b"letters" * 9,
        chapters=True,
        metadata={"title": "A film", "my own word": "kept"},
    )
    result = upscale("a.mkv", "b.mkv")
    assert (result.code, result.stderr) == (0, "")
    for kind in ("audio", "subtitle"):
        assert packets_of(tmp_path / "b.mkv", kind) == packets_of(source, kind)
    with av.open(str(source)) as before, av.open(str(tmp_path / "b.mkv")) as after:
        assert [stream.type for stream in after.streams] == [stream.type for stream in before.streams]
        for small, large in zip(before.streams, after.streams, strict=True):
            assert large.metadata.get("language") == small.metadata.get("language")
            assert large.disposition == small.disposition
        assert after.streams[-1].data == b"letters" * 9
        assert [chapter["metadata"] for chapter in after.chapters()] == [{"title": "One"}, {"title": "Two"}]
        words = {key.lower(): value for key, value in after.metadata.items()}
        assert (words["title"], words["my_own_word"]) == ("A film", "kept")


def test_words_of_ones_own_stay_in_mp4(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", codec="libx264", metadata={"title": "A film", "camera": "mine"})
    assert upscale("a.mkv", "b.mp4").stderr == ""
    with av.open(str(tmp_path / "b.mp4")) as after:
        assert {key.lower(): value for key, value in after.metadata.items()}["camera"] == "mine"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_cover_stays(tmp_path: Path, upscale: Upscale, suffix: str) -> None:
    save_picture(tmp_path / "cover.jpg", 16, 16)
    cover = (tmp_path / "cover.jpg").read_bytes()
    film(tmp_path / f"a{suffix}", codec="libx264", cover=cover)
    assert upscale(f"a{suffix}", f"b{suffix}").stderr == ""
    with av.open(str(tmp_path / f"b{suffix}")) as after:
        assert [len(stream.codec_context.name) > 0 for stream in after.streams.video] == [True, True]
        assert [bytes(packet) for packet in after.demux(after.streams.video[1]) if packet.size] == [cover]


def test_what_a_container_cannot_hold_is_told(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", codec="libx264", sound=True, subtitles=True, attachment=b"x", chapters=True)
    result = upscale("a.mkv", "b.mp4")
    assert result.code == 0
    assert "stream 2 (subtitle" in result.stderr
    assert "stream 3 (attachment" in result.stderr
    assert "stream 1" not in result.stderr
    again = upscale("a.mkv", "b.avi")
    assert "chapters are lost" in again.stderr


def test_shape_turn_and_colours_stay(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mp4", codec="libx264", aspect=Fraction(4, 3), rotation=90, colours=(1, 9, 16, 9))
    assert upscale("a.mp4", "b.mp4").stderr == ""
    with av.open(str(tmp_path / "b.mp4")) as after:
        stream = after.streams.video[0]
        frame = next(after.decode(stream))
        assert stream.sample_aspect_ratio == Fraction(4, 3)
        assert frame.rotation == 90
        assert (frame.color_range, frame.color_primaries, frame.color_trc, frame.colorspace) == (1, 9, 16, 9)


def test_ten_bits_stay_ten_bits_in_every_codec(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", "yuv420p10le", width=64, height=64)
    for codec in ("h264", "hevc", "av1", "ffv1"):
        assert upscale("a.mkv", f"{codec}.mkv", "--codec", codec).stderr == ""
        with av.open(str(tmp_path / f"{codec}.mkv")) as after:
            assert next(after.decode(video=0)).format.name == "yuv420p10le"
    if "yuv420p10le" not in {format.name for format in av.Codec("libvpx-vp9", "w").video_formats}:
        assert "10 bits become 8" in upscale("a.mkv", "b.webm").stderr


def test_the_description_of_an_hdr_screen_stays_in_hevc(tmp_path: Path, upscale: Upscale) -> None:
    screen = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    words = f"log-level=none:hdr10=1:master-display={screen}:max-cll=1000,400"
    film(
        tmp_path / "a.mkv", "yuv420p10le", width=64, height=64, codec="libx265", options={"x265-params": words},
        colours=(1, 9, 16, 9),
    )  # fmt: skip
    assert upscale("a.mkv", "b.mkv", "--codec", "hevc").stderr == ""
    found = []
    for name in ("a.mkv", "b.mkv"):
        with av.open(str(tmp_path / name)) as container:
            frame = next(container.decode(video=0))
            found.append({data.type.name: bytes(data) for data in frame.side_data})
    for key in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"):
        assert found[0][key] == found[1][key]
    assert "HDR10's description" in upscale("a.mkv", "c.mkv").stderr


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="ffprobe is not installed")
def test_ffprobe_finds_the_same_in_both(tmp_path: Path, upscale: Upscale) -> None:
    """An independent reader: moments, sound, turn, shape and words."""
    film(
        tmp_path / "a.mp4",
        count=12,
        codec="libx264",
        sound=True,
        chapters=True,
        rotation=-90,
        aspect=Fraction(16, 15),
        metadata={"title": "A film"},
    )
    assert upscale("a.mp4", "b.mp4").stderr == ""
    shown = ("-show_entries", "packet=pts_time:stream=codec_type,sample_aspect_ratio:stream_tags=language,title")
    more = ("-show_entries", "format_tags=title:stream_side_data=rotation", "-show_chapters", "-of", "json")
    found = []
    for name in ("a.mp4", "b.mp4"):
        command: list[Any] = ["ffprobe", "-v", "error", *shown, *more, tmp_path / name]
        result = strict_json(subprocess.run(command, capture_output=True, check=True).stdout)
        result["packets"] = sorted(packet["pts_time"] for packet in result["packets"])
        found.append(result)
    assert found[0] == found[1]
    assert found[0]["streams"][0]["side_data_list"] == [{"rotation": -90}]


# --- parts of it, and what is asked for ------------------------------------------------------------------------------


def test_a_part_of_it_with_its_sound(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", count=50, codec="libx264", sound=True)
    assert upscale("a.mkv", "b.mkv", "--start", "0:00.4", "--end", "1").code == 0
    moments = read_film(tmp_path / "b.mkv")[1]
    assert (len(moments), moments[0]) == (15, Fraction(0))
    sound = packets_of(tmp_path / "b.mkv", "audio")
    assert 0 <= sound[0][0] < 0.03
    assert 0.5 < sound[-1][0] < 0.6
    assert upscale("a.mkv", "c.mkv", "--frames", "3").code == 0
    assert len(read_film(tmp_path / "c.mkv")[0]) == 3
    one_line(upscale("a.mkv", "d.mkv", "--start", "9"), 1, "a.mkv", "no frames in that part")
    one_line(upscale("a.mkv", "d.mkv", "--start", "soon"), 2, "--start 'soon'", "seconds")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--crf", "60"), ("--crf 60", "0 to 51")),
        (("--preset", "quick"), ("--preset 'quick'", "veryfast")),
        (("--codec", "ffv1", "--crf", "3"), ("--crf", "ffv1")),
        (("--codec", "ffv1"), ("b.webm", "webm cannot hold ffv1")),
        (("--pixel-format", "yuv"), ("--pixel-format 'yuv'", "yuv420p")),
        (("--quality", "90"), ("--quality", "--crf")),
    ],
)
def test_misuse_is_one_line(tmp_path: Path, upscale: Upscale, options: tuple[str, ...], words: tuple[str, ...]) -> None:
    film(tmp_path / "a.mkv")
    output = "b.webm" if "webm" in words[0] else "b.mp4"
    one_line(upscale("a.mkv", output, *options), 2, *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mkv"]


def test_options_of_videos_are_not_ignored_for_pictures(tmp_path: Path, upscale: Upscale) -> None:
    save_picture(tmp_path / "a.png")
    one_line(upscale("a.png", "b.png", "--crf", "20"), 2, "for videos")
    one_line(upscale("a.png", "b.mp4"), 2, "b.mp4")
    film(tmp_path / "a.mkv")
    one_line(upscale("a.mkv", "b.png"), 2, "b.png", ".mp4")


def test_the_codec_of_the_source(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv")
    film(tmp_path / "b.avi", codec="mpeg4")
    for name in ("a.mkv", "b.avi"):
        assert upscale(name, f"large-{name}", "--codec", "source").code == 0
    for name in ("a.mkv", "b.avi"):
        with av.open(str(tmp_path / name)) as before, av.open(str(tmp_path / f"large-{name}")) as after:
            assert before.streams.video[0].codec_context.name == after.streams.video[0].codec_context.name


def test_a_folder_of_both_goes_by_contents(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "in" / "clip.mkv")
    film(tmp_path / "other.mkv").rename(tmp_path / "in" / "really.jpg")
    save_picture(tmp_path / "in" / "deep" / "a.png")
    result = upscale("-r", "in", "out")
    assert result.code == 0, result.stderr
    found = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*.*"))
    assert found == ["clip.mkv", "deep/a.png", "really.mp4"]
    again = strict_json(upscale("-r", "in", "out", "--skip-existing", "--json").stdout)
    assert [outcome["skipped"] for outcome in again] == [True] * 3


def test_a_dry_run_measures_a_few_frames(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", count=20)
    [outcome] = strict_json(upscale("a.mkv", "b.mp4", "--dry-run", "--json").stdout)
    assert outcome["output_size"] == [64, 48]
    assert outcome["frames"] == 20
    assert 0 < outcome["seconds"] < 60
    assert not (tmp_path / "b.mp4").exists()


# --- Y4M, without any library ----------------------------------------------------------------------------------------


def test_pipes_of_y4m_need_no_library(tmp_path: Path, tiny: Path) -> None:
    luma = moving_planes(3, 16, 12, layout_of("yuv420p"))  # type: ignore[arg-type]
    data = b"YUV4MPEG2 W16 H12 F30000:1001 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n"
    data += b"".join(b"FRAME\n" + b"".join(plane.tobytes() for plane in planes) for planes in luma)
    block = tmp_path / "block"
    block.mkdir()
    (block / "av.py").write_text("raise ImportError")
    result = subprocess.run(
        [*COMMAND, "upscale", "-", "-", "-f", "y4m", "-m", tiny],
        input=data,
        capture_output=True,
        env=os.environ | {"PYTHONPATH": f"{block}{os.pathsep}{Path(__file__).parents[2]}"},
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    header, rest = result.stdout.split(b"\n", 1)
    assert header == b"YUV4MPEG2 W32 H24 F30000:1001 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED"
    assert len(rest) == 3 * (6 + 32 * 24 * 3 // 2)


def test_y4m_and_containers_into_each_other(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv", sound=True)
    result = upscale("a.mkv", "b.y4m")
    assert result.code == 0
    assert "sound" in result.stderr
    assert upscale("b.y4m", "c.mkv", *LOSSLESS).stderr == ""
    assert [plane.shape for plane in read_film(tmp_path / "c.mkv")[0][4]] == [(96, 128), (48, 64), (48, 64)]
    one_line(upscale("a.mkv", "d.y4m", "--crf", "20"), 2, "Y4M is not")


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
@pytest.mark.parametrize("format", ["gray", "yuv420p", "yuv422p", "yuv444p", "yuv411p", "yuv420p10le", "yuv444p12le"])
def test_ffmpeg_and_this_read_each_others_pipes(tmp_path: Path, tiny: Path, format: str) -> None:
    film(tmp_path / "a.mkv", format)
    made: list[Any] = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.mkv", "-strict", "-1", "-f", "yuv4mpegpipe", "-"]
    data = subprocess.run(made, capture_output=True, check=True).stdout
    data = data.replace(b"C420jpeg", b"C420mpeg2", 1)  # ffmpeg's word where nobody has said where chroma lies
    result = run("upscale", "-", "-", "-f", "y4m", "-m", tiny, stdin=data)
    assert result.code == 0, result.stderr
    back: list[Any] = [
        "ffmpeg",
        "-v",
        "error",
        "-f",
        "yuv4mpegpipe",
        "-i",
        "-",
        "-c:v",
        "ffv1",
        "-strict",
        "-1",
        tmp_path / "b.mkv",
    ]
    subprocess.run(back, input=result.data, check=True)
    run("upscale", tmp_path / "a.mkv", tmp_path / "c.mkv", *LOSSLESS, "-m", tiny)
    for one, other in zip(read_film(tmp_path / "b.mkv")[0], read_film(tmp_path / "c.mkv")[0], strict=True):
        assert all(np.array_equal(plane, same) for plane, same in zip(one, other, strict=True))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"YUV4MPEG2 W16 H12 F25:1 Ip C420\nFRAME\n" + bytes(100), ("breaks off in frame 0",)),
        (b"YUV4MPEG2 W16 H12 F25:1 Ip C420\nFRAMES\n", ("frame 0", "damaged")),
        (b"YUV4MPEG2 W16 H12 F25:1 Ip C999\n", ("C999",)),
        (b"YUV4MPEG2 W16 F25:1 Ip\n", ("how large",)),
        (b"YUV4MPEG2 W16 H12 F25:1 It C420\n", ("interlaced", "bwdif")),
        (b"YUV4MPEG2 W16 H12 F25:1 Ip C420\n", ("no frames",)),
    ],
)
def test_a_bad_stream_of_y4m_is_one_line(tmp_path: Path, upscale: Upscale, data: bytes, words: tuple[str, ...]) -> None:
    (tmp_path / "a.y4m").write_bytes(data)
    for output in ("b.y4m", "b.mkv"):
        one_line(upscale("a.y4m", output), 1, "a.y4m", *words)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.y4m"]


# --- bad input -------------------------------------------------------------------------------------------------------


def test_cut_off_files(tmp_path: Path, upscale: Upscale) -> None:
    whole = film(tmp_path / "a.mkv", count=40, codec="libx264", options={"g": "5"}).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    result = upscale("cut.mkv", "b.mkv")
    assert result.code == 0, result.stderr
    assert 5 < len(read_film(tmp_path / "b.mkv")[0]) < 40
    (tmp_path / "head.mkv").write_bytes(whole[:200])
    one_line(upscale("head.mkv", "c.mkv"), 1, "head.mkv", "complete")
    end = film(tmp_path / "a.mp4", codec="libx264").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(end[:-300])
    one_line(upscale("cut.mp4", "d.mp4"), 1, "cut.mp4", "complete")


def test_a_broken_frame_in_the_middle_is_told(tmp_path: Path, upscale: Upscale) -> None:
    data = bytearray(film(tmp_path / "a.avi", count=30, codec="mpeg4", options={"g": "5"}).read_bytes())
    middle = data.index(b"movi") + (data.index(b"idx1") - data.index(b"movi")) // 2
    data[middle : middle + 300] = bytes(300)
    (tmp_path / "b.avi").write_bytes(data)
    result = upscale("b.avi", "c.mkv")
    assert result.code == 0, result.stderr
    assert len(read_film(tmp_path / "c.mkv")[0]) >= 20


def test_sound_alone_is_no_video(tmp_path: Path, upscale: Upscale) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        sound = container.add_stream("aac", rate=48000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, 0
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    one_line(upscale("a.mp4", "b.mp4"), 1, "a.mp4", "no video in it")


def test_a_size_that_changes_is_refused(tmp_path: Path, upscale: Upscale) -> None:
    for name, width in (("a", 32), ("b", 64)):
        film(tmp_path / f"{name}.ts", count=10, codec="mpeg2video", width=width, height=width)
    (tmp_path / "both.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    one_line(upscale("both.ts", "c.ts"), 1, "both.ts", "changes to 64 x 64", "--end")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_interlaced_material_is_refused_with_the_remedy(tmp_path: Path, upscale: Upscale) -> None:
    fields = {"flags": "+ildct", "x264-params": "tff=1"}
    film(tmp_path / "a.mkv", count=8, width=64, height=64, codec="libx264", options=fields)
    one_line(upscale("a.mkv", "b.mkv"), 1, "a.mkv", "--deinterlace")
    assert upscale("a.mkv", "b.mkv", "--deinterlace").code == 0
    assert read_film(tmp_path / "b.mkv")[1] == read_film(tmp_path / "a.mkv")[1]


def test_without_the_library_the_remedy_is_named(
    tmp_path: Path, upscale: Upscale, monkeypatch: pytest.MonkeyPatch
) -> None:
    film(tmp_path / "a.mkv")
    monkeypatch.setattr("espcn_cli.pictures.containers.is_there", lambda: False)
    one_line(upscale("a.mkv", "b.mkv"), 1, "a.mkv", "pip install 'espcn[video]'")


@pytest.mark.skipif(os.name == "nt", reason="limits of a process are POSIX")
def test_a_full_disk_leaves_no_half_file(tmp_path: Path, tiny: Path) -> None:
    import resource

    film(tmp_path / "a.mkv", count=60, width=64, height=48)

    def little() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))

    result = run_process("upscale", "a.mkv", "b.mkv", *LOSSLESS, "-m", tiny, cwd=tmp_path, before=little)
    one_line(result, 1, "cannot write b.mkv")
    assert not (tmp_path / "b.mkv").exists()


def test_lists_and_texts_are_not_opened_as_videos(tmp_path: Path, upscale: Upscale) -> None:
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile /etc/passwd\n")
    (tmp_path / "b.mkv").write_text("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n")
    for name in ("a.mp4", "b.mkv"):
        one_line(upscale(name, "c.png"), 1, name, "not a picture")


# --- hours of work survive -------------------------------------------------------------------------------------------


def test_a_killed_job_goes_on_and_gives_the_same(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill -9` when some parts are finished; the frames are those of an uninterrupted run."""
    film(tmp_path / "a.mkv", count=700, width=96, height=64, codec="libx264", sound=True)
    command = ["upscale", tmp_path / "a.mkv", tmp_path / "b.mkv", "-m", tiny]
    process = subprocess.Popen([*COMMAND, *texts(tuple(command))], stderr=subprocess.DEVNULL)
    folder = parts.folder_of(tmp_path / "b.mkv")
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and len(list(folder.glob("*.json"))) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    finished = len(list(folder.glob("*.packets")))
    assert finished >= 2, "it was too quick to be killed"
    assert not (tmp_path / "b.mkv").exists()
    assert run(*command, "--resume").code == 0
    assert run("upscale", tmp_path / "a.mkv", tmp_path / "c.mkv", "-m", tiny).code == 0
    assert not folder.exists()
    one, other = read_film(tmp_path / "b.mkv"), read_film(tmp_path / "c.mkv")
    assert one[1] == other[1]
    assert all(np.array_equal(x[0], y[0]) for x, y in zip(one[0], other[0], strict=True))
    assert packets_of(tmp_path / "b.mkv", "audio") == packets_of(tmp_path / "a.mkv", "audio")


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX")
def test_an_interruption_tells_how_to_go_on(tmp_path: Path, tiny: Path) -> None:
    film(tmp_path / "a.mkv", count=700, width=96, height=64, codec="libx264")
    command = ["upscale", tmp_path / "a.mkv", tmp_path / "b.mkv", "-m", tiny]
    process = subprocess.Popen([*COMMAND, *texts(tuple(command))], stderr=subprocess.PIPE, text=True)
    folder = parts.folder_of(tmp_path / "b.mkv")
    deadline = time.monotonic() + 100
    while time.monotonic() < deadline and not list(folder.glob("*.json")) and process.poll() is None:
        time.sleep(0.01)
    while not list(folder.glob("*1.packets")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "with --resume goes on" in stderr
    assert folder.exists()
    assert not (tmp_path / "b.mkv").exists()


def test_parts_of_something_else_are_not_gone_on_from(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv")
    folder = parts.folder_of(tmp_path / "b.mkv")
    folder.mkdir()
    (folder / "made-of.json").write_text("{}")
    one_line(upscale("a.mkv", "b.mkv", "--resume"), 1, "b.mkv", "other options")
    assert upscale("a.mkv", "b.mkv").code == 0
    assert not folder.exists()


@pytest.mark.parametrize("other", ["--precision fp32", "--precision int8 --ensemble"])
def test_parts_of_another_arithmetic_are_not_gone_on_from(
    other: str, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PyTorch only simulates int8, in fp32."""
    card, weights = checkpoint.read(tiny)
    checkpoint.write(tmp_path / "m.safetensors", weights, replace(card, ranges=((0.0, 1.0), (-2.0, 2.0))))
    film(tmp_path / "a.mkv")
    command = ["upscale", "a.mkv", "b.mkv", "-m", "m.safetensors", "--device", "cpu", "--engine", "torch", "--resume"]
    with monkeypatch.context() as patch:
        patch.setattr("espcn_cli.upscaling.film.join", cut_off)
        assert run(*command, "--precision", "int8", cwd=tmp_path).code == 1
    one_line(run(*command, *other.split(), cwd=tmp_path), 1, "b.mkv", "other options")
    assert run(*command, "--precision", "int8", cwd=tmp_path).code == 0


def cut_off(*_: object) -> NoReturn:
    raise OSError("no space left")


def test_without_anything_to_go_on_from_it_begins(tmp_path: Path, upscale: Upscale) -> None:
    film(tmp_path / "a.mkv")
    assert upscale("a.mkv", "b.mkv", "--resume").code == 0
    data = b"YUV4MPEG2 W2 H2 F1:1 Cmono\nFRAME\nabcd"
    one_line(upscale("-", "c.mkv", "--resume", stdin=data), 2, "--resume", "pipe")


def test_bicubic_video_by_the_library(tmp_path: Path, bicubic: Upscaler) -> None:
    """No network knowledge in the pipeline: any engine does."""
    from espcn_cli.upscaling.pipeline import run as run_tasks
    from espcn_cli.upscaling.plan import plan

    film(tmp_path / "a.mkv")
    [outcome] = run_tasks(bicubic, plan([tmp_path / "a.mkv"], tmp_path / "b.mp4"))
    assert (outcome.error, outcome.frames, outcome.output_size) == (None, 5, (64, 48))
