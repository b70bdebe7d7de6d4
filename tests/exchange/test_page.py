"""The page upscales in a browser as the command does, keeps to itself, and tells what it cannot do."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from browser import CHROMIUM, Browser, browser
from command import run
from making import natural, save_checkpoint, save_pair, save_picture
from PIL import Image

from espcn_cli.errors import EspcnError
from espcn_cli.exchange import exported
from espcn_cli.exchange.page import page, tile
from espcn_cli.network import checkpoint, named
from espcn_cli.pictures import reading
from espcn_cli.settings import ARCHITECTURES, SCALES, ModelSettings, architecture
from espcn_cli.upscaling.upscaler import load

SOFTWARE = ("--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--autoplay-policy=no-user-gesture-required")
"""WebGL without a graphics card, and videos that play without a click."""

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="needs ffmpeg, to make a video")

FORMS = {
    "colour": ModelSettings(widths=(6, 5), kernels=(3, 5, 1), planes=3),
    "slope per channel": ModelSettings(
        scale=3, widths=(9, 20), kernels=(5, 3, 3), activation="prelu", slopes="channel", skip="nearest"
    ),
    "another range": ModelSettings(
        scale=4, widths=(3,), kernels=(3, 3), skip="none", value_range=(-1.0, 1.0), last_activation="tanh"
    ),
}
"""What checkpoints can be and the shipped ones are not."""


@pytest.fixture(scope="module")
def tab() -> Iterator[Browser]:
    with browser(*SOFTWARE) as found:
        yield found


def write(path: Path, *models: Path) -> Path:
    path.write_bytes(page([exported.read(model) for model in models])[".html"])
    return path


def told(tab: Browser) -> str:
    return str(tab.value("document.getElementById('status').textContent"))


def rest(tab: Browser) -> None:
    tab.wait("document.getElementById('status').textContent && !document.body.hasAttribute('aria-busy')", 300)


def ready(tab: Browser, html: Path) -> None:
    tab.open(html)
    tab.errors.clear()
    tab.requests.clear()
    rest(tab)
    assert told(tab) == "Ready."


def saved(tab: Browser, picture: Path, folder: Path, scale: int) -> Image.Image:
    """A picture given to the page, upscaled, and saved by its button."""
    folder.mkdir(exist_ok=True)
    tab("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder))
    tab.give("#files", picture)
    tab.wait(f"current && current.file.name === '{picture.name}'", 300)
    rest(tab)
    tab.value("document.getElementById('save').click()")
    output = folder / f"{picture.stem}_x{scale}.png"
    end = time.monotonic() + 30
    while not output.is_file():
        assert time.monotonic() < end, told(tab)
        time.sleep(0.05)
    with Image.open(output) as image:
        image.load()
        return image


def pictures(folder: Path) -> list[Path]:
    """Grey, colour, alpha with hard and soft edges, one pixel, odd sizes, larger than a tile."""
    soft = np.clip(np.linspace(-60, 320, 40), 0, 255).astype(np.uint8)
    alpha = np.broadcast_to(soft, (30, 40)).copy()
    alpha[5:15, 5:12], alpha[18:25, 30:38] = 255, 0
    Image.fromarray(np.dstack([natural(40, 30), alpha])).save(folder / "alpha.png")
    Image.merge("LA", [Image.fromarray(natural(40, 30)).convert("L"), Image.fromarray(alpha)]).save(folder / "la.png")
    Image.fromarray(natural(23, 17)).save(folder / "turned.jpg", exif=turned(), quality=95)
    named = {"one": (1, 1, "RGB"), "odd": (37, 23, "RGB"), "grey": (24, 31, "L"), "long": (1061, 5, "RGB")}
    made = [save_picture(folder / f"{name}.png", w, h, mode=mode) for name, (w, h, mode) in named.items()]
    return [folder / "alpha.png", folder / "la.png", *made]


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def differs(tab: Browser, html: Path, model: Path, picture: Path, tmp_path: Path, *options: object) -> int:
    """By how many levels the page's PNG is from the command's, of the same size and mode, in all that can be seen."""
    scale = checkpoint.read_card(model).settings.scale
    made = saved(tab, picture, tmp_path / "downloads", scale)
    command = ("upscale", picture, tmp_path / "by_command.png", "-m", model, "--precision", "fp32", "--overwrite", "-q")
    result = run(*command, *options)
    assert result.code == 0, result.stderr
    with Image.open(tmp_path / "by_command.png") as image:
        assert (made.size, made.mode) == (image.size, image.mode)
        page, expected = (np.asarray(each.convert("RGBA")).astype(int) for each in (made, image))
        return int((np.abs(page - expected) * ((expected[..., 3:] > 0) | [False, False, False, True])).max())


# --- in a browser ----------------------------------------------------------------------------------------------------


@needs_browser
def test_it_saves_what_the_command_writes(tab: Browser, tmp_path: Path) -> None:
    model = save_checkpoint(tmp_path / "tiny.safetensors", tail=0.1)
    assert tile(checkpoint.read_card(model).settings) < 1061
    html = write(tmp_path / "page.html", model)
    ready(tab, html)
    for picture in pictures(tmp_path):
        assert differs(tab, html, model, picture, tmp_path) <= 1, picture.name
    assert tab.errors == []
    assert {url.partition(":")[0] for url in tab.requests} <= {"file", "blob", "data"}


@needs_browser
@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_network(tab: Browser, tmp_path: Path, form: str) -> None:
    model = save_checkpoint(tmp_path / "tiny.safetensors", FORMS[form], tail=0.1)
    html = write(tmp_path / "page.html", model)
    ready(tab, html)
    for picture in (save_picture(tmp_path / "rgb.png", 29, 21), save_picture(tmp_path / "grey.png", 20, 9, mode="L")):
        assert differs(tab, html, model, picture, tmp_path) <= 1, picture.name
    assert tab.errors == []


@needs_browser
@pytest.mark.parametrize("name", ["espcn", "espcn-s", "espcn-m-real"])
def test_shipped_networks(tab: Browser, tmp_path: Path, name: str) -> None:
    model = named.find(name, 2)
    html = write(tmp_path / "page.html", model)
    ready(tab, html)
    picture = save_picture(tmp_path / "rgb.png", 45, 32)
    options = ("--strength", 0.75) if name.endswith("-real") else ()
    assert differs(tab, html, model, picture, tmp_path, *options) <= 1


@needs_browser
def test_orientation_is_applied(tab: Browser, tmp_path: Path) -> None:
    pictures(tmp_path)
    ready(tab, write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors")))
    assert saved(tab, tmp_path / "turned.jpg", tmp_path / "downloads", 2).size == (34, 46)


@needs_browser
def test_a_page_may_hold_several_networks(tab: Browser, tmp_path: Path) -> None:
    first = save_checkpoint(tmp_path / "a.safetensors", tail=0.1, name="first")
    other = save_checkpoint(tmp_path / "b.safetensors", ModelSettings(scale=3, widths=(5,), kernels=(3, 3)), "other")
    html = write(tmp_path / "page.html", first, other)
    ready(tab, html)
    picture = save_picture(tmp_path / "rgb.png")
    assert differs(tab, html, first, picture, tmp_path) <= 1
    tab.value("at('model').value = 1; at('model').onchange()")
    rest(tab)
    assert "72 x 54 by other x3" in told(tab)  # the same picture once more


@needs_browser
def test_all_strengths_in_one_page(tab: Browser, tmp_path: Path) -> None:
    _, real = save_pair(tmp_path)
    html = tmp_path / "page.html"
    assert run("export", real, html, "--strength", "auto").code == 0
    ready(tab, html)
    picture = save_picture(tmp_path / "rgb.png")
    tab.value("at('strength').value = 0.75")
    assert differs(tab, html, real, picture, tmp_path, "--strength", 0.75) <= 1
    tab.value("at('strength').value = 0.125; at('strength').onchange()")
    rest(tab)
    made = saved(tab, save_picture(tmp_path / "again.png"), tmp_path / "downloads", 2)
    run("upscale", picture, tmp_path / "weak.png", "-m", real, "--strength", 0.125)
    with Image.open(tmp_path / "weak.png") as image:
        assert np.abs(np.asarray(made).astype(int) - np.asarray(image)).max() <= 1


@needs_browser
def test_it_chooses_the_strength_that_the_command_chooses(tab: Browser, tmp_path: Path) -> None:
    _, real = save_pair(tmp_path)
    html = tmp_path / "page.html"
    assert run("export", real, html, "--strength", "auto").code == 0
    ready(tab, html)
    smooth, grainy = natural(200, 140), np.random.default_rng(3).integers(0, 255, (70, 90, 3), np.uint8)
    for quality in (95, 75, 30):
        Image.fromarray(smooth).save(tmp_path / f"quality_{quality}.jpg", quality=quality)
    Image.fromarray(smooth).quantize(16).save(tmp_path / "palette.png")
    Image.fromarray(smooth).save(tmp_path / "smooth.png")
    Image.fromarray(grainy).save(tmp_path / "grainy.png")
    Image.fromarray(smooth[:5, :7]).save(tmp_path / "few.png")
    Image.fromarray(np.full((40, 40, 3), 99, np.uint8)).save(tmp_path / "flat.png")
    upscaler = load(str(real))
    for picture in sorted(tmp_path.glob("*.[jp][pn]g")):
        expected = upscaler.strength_of(reading.read_document(picture))
        tab.give("#files", picture)
        tab.wait(f"current && current.file.name === '{picture.name}'")
        assert tab.value("current.strength") == expected, picture.name


@needs_browser
@needs_ffmpeg
def test_a_video_plays_upscaled(tab: Browser, tmp_path: Path) -> None:
    video = tmp_path / "video.webm"
    source = ["-f", "lavfi", "-i", "testsrc2=s=48x32:d=20:r=5", "-f", "lavfi", "-i", "sine=d=20"]
    subprocess.run(["ffmpeg", "-v", "error", *source, "-c:v", "libvpx-vp9", "-c:a", "libopus", video], check=True)
    ready(tab, write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors", tail=0.1)))
    tab.give("#files", video)
    tab.wait("!at('player').hidden && shown > 1", 120)
    assert tab.value("[at('live').width, at('live').height]") == [96, 64]
    first = tab.value("(draw(), at('live').toDataURL())")
    tab.wait("shown > 4")
    assert tab.value("(draw(), at('live').toDataURL())") != first
    assert tab.value("at('video').muted") is False
    assert re.fullmatch(r"Frames per second: \d+; shown: \d+; dropped: \d+", tab.value("at('rate').textContent"))
    tab.value("at('play').click(); at('live-split').value = 0.5; at('live-split').oninput()")
    tab.value("at('stop').click()")
    assert tab.value("at('player').hidden") and tab.errors == []


@needs_browser
def test_it_fits_a_narrow_screen_and_a_dark_one(tab: Browser, tmp_path: Path) -> None:
    html = write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors"))
    tab.open(html, 360, 740, dark=True)
    rest(tab)
    tab.value("at('example').click()")
    tab.wait("current", 120)
    rest(tab)
    assert tab.value("document.documentElement.scrollWidth") <= 360
    tab.key("ArrowRight", 39)
    assert float(tab.value("at('split').value")) == pytest.approx(0.52)


@needs_browser
def test_what_cannot_be_done_is_a_sentence(tab: Browser, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG")
    (tmp_path / "broken.mp4").write_bytes(b"none")
    ready(tab, write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors")))
    for name, said in (("broken.png", "cannot decode it as a picture"), ("broken.mp4", "cannot play it")):
        tab.give("#files", tmp_path / name)
        tab.wait(f"at('status').textContent.includes('{said}')")
        rest(tab)
    assert saved(tab, save_picture(tmp_path / "good.png"), tmp_path / "downloads", 2).size == (48, 36)


@needs_browser
def test_a_lost_graphics_card_comes_back(tab: Browser, tmp_path: Path) -> None:
    ready(tab, write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors")))
    tab.value("globalThis.card = engine.gl.getExtension('WEBGL_lose_context'); card.loseContext()")
    tab.wait("at('status').textContent.includes('taken away')")
    tab.value("card.restoreContext()")
    tab.wait("at('status').textContent === 'Ready again.'")
    assert saved(tab, save_picture(tmp_path / "good.png"), tmp_path / "downloads", 2).size == (48, 36)


@needs_browser
def test_without_webgl_it_says_so(tmp_path: Path) -> None:
    html = write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors"))
    with browser("--disable-gpu", "--disable-3d-apis") as plain:
        plain.open(html)
        assert "no WebGL 2" in told(plain)


# --- the file itself --------------------------------------------------------------------------------------------------


def test_it_is_as_small_as_promised() -> None:
    for scale in SCALES:
        networks = [exported.read(named.find(name, scale)) for name in ("espcn-s", "espcn-m", "espcn-l")]
        assert all(len(page([network])[".html"]) <= 450_000 for network in networks)
        assert len(page(networks)[".html"]) <= 1_300_000


def test_nothing_is_fetched_and_no_name_breaks_it(tmp_path: Path) -> None:
    name = "</script><script>alert(1)</script>"
    html = write(tmp_path / "page.html", save_checkpoint(tmp_path / "tiny.safetensors", name=name)).read_text()
    assert html.count("<script>") == 1 and "default-src 'none'" in html and "unsafe" not in html
    assert "http" not in html.replace("http-equiv", "")


def test_a_form_that_no_card_computes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = exported.read(save_checkpoint(tmp_path / "tiny.safetensors"))
    settings = ModelSettings.to_dict
    monkeypatch.setattr(
        ModelSettings,
        "to_dict",
        lambda self: {**settings(self), **({"border": "edge"} if self is network.settings else {})},
    )
    with pytest.raises(EspcnError, match="tiny has border of its own"):
        page([network])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_tiles_are_large_but_fit_the_card(name: str) -> None:
    assert 256 <= tile(architecture(name)) <= 1024
