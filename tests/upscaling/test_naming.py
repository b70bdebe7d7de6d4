"""Names of outputs by a pattern, and what an earlier run has made by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from espcn_cli.errors import UsageError
from espcn_cli.upscaling.naming import Naming, naming_of


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("{stem}_x{scale}{suffix}", "a.b_x3.png"),
        ("{model}-{stem}{suffix}", "tiny-a.b.png"),
        ("big{{}}{suffix}", "big{}.png"),
        (".{stem}{suffix}", ".a.b.png"),
    ],
)
def test_fields_stand_for_what_the_output_is(pattern: str, name: str) -> None:
    assert Naming(pattern, 3, "tiny")(Path("out", "a.b.png")) == Path("out", name)


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("{stem}{date}{suffix}", "no field {date}: use {stem}, {suffix}, {scale}, {model}"),
        ("{}{suffix}", "no field {}"),
        ("{stem.parent}{suffix}", "no field"),
        ("{stem{suffix}", "braces"),
        ("{stem:>90}{suffix}", "write {stem} by itself"),
        ("{stem!r}{suffix}", "write {stem} by itself"),
        ("up/{stem}{suffix}", "slashes"),
        ("up\\{stem}{suffix}", "slashes"),
        ("{stem}", "end in {suffix}"),
        ("{stem}.png", "end in {suffix}"),
        ("{suffix}{stem}{suffix}", "end in {suffix}"),
        ("{suffix}", "gives no name"),
        ("", "end in {suffix}"),
    ],
)
def test_what_names_nothing_is_refused(pattern: str, told: str) -> None:
    with pytest.raises(UsageError, match=r"--name") as error:
        naming_of(pattern, None, None)
    assert told in str(error.value) and "\n" not in str(error.value)


def test_scale_and_model_are_those_that_are_loaded() -> None:
    assert naming_of("{model}_x{scale}{suffix}", "espcn-s", 4)(Path("a.png")) == Path("espcn-s_x4.png")
    assert naming_of("{model}_x{scale}{suffix}", None, None)(Path("a.png")) == Path("espcn-m-real_x2.png")


def test_outputs_of_earlier_runs_are_known_by_their_sources() -> None:
    """Of any scale and in any format; what looks so and has no source is a picture like others."""
    names = ["a.jpg", "a_x2.jpg", "a_x3.webp", "a_x2_x2.jpg", "b_x2.png", "c.ico", "c.ico_x2.png", "a_resized.png"]
    folder = Path("photos")
    made = Naming("{stem}_x{scale}{suffix}", 2, "").made_before(folder / name for name in names)
    assert {path.name for path in made} == {"a_x2.jpg", "a_x3.webp", "a_x2_x2.jpg", "c.ico_x2.png", "a_resized.png"}
    own = Naming("{stem} by {model}{suffix}", 2, "").made_before(Path(name) for name in ["a.png", "a by espcn-m.png"])
    assert own == {Path("a by espcn-m.png")}


def test_a_name_that_stays_the_same_is_nobodys_output() -> None:
    assert not Naming("{stem}{suffix}", 2, "").made_before([Path("a.png"), Path("a.jpg")])
