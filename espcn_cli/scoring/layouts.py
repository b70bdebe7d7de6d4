"""How HR and LR pictures lie in folders: which is which, and which belong together, by their names alone.

Known are `HR/` with `LR/x2/`, `DIV2K_HR/` with `DIV2K_LR_bicubic/X2/0801x2.png`, `image_SRF_2/a_HR.png` with
`a_LR.png`, and `a.png` with `a_bicLRx4.png` or `ax4.png` in one folder. A folder without any of it holds HR.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from espcn_cli.errors import EspcnError
from espcn_cli.figures import amount
from espcn_cli.pictures import folders
from espcn_cli.pictures.folders import SUFFIXES

HR_FOLDER = re.compile(r"(.*[_\- ])?(HR|GT)([_\- ]?mod\d+)?([_\- ]?x\d)?", re.IGNORECASE)
LR_FOLDER = re.compile(r"(.*[_\- ])?LR([_\- ].*|(bi|x)\w*)?", re.IGNORECASE)
SCALE_FOLDER = re.compile(r"(?:x(\d)|(\d)x|.*SRF_(\d)|.*LR.*[_\- ]?x(\d))", re.IGNORECASE)
RESULTS_FOLDER = re.compile(r".*SRF_\d", re.IGNORECASE)
"""Holds HR, LR and what methods made of them, told apart by the ends of their names."""

HR_NAME = re.compile(r"(.+?)(?:_SRF_(?P<srf>\d))?[_-](?:HR|GT)(?:[_-]?x(?P<x>\d))?", re.IGNORECASE)
LR_NAME = re.compile(r"(.+?)(?:_SRF_(?P<srf>\d))?[_-](?:bic)?LR(?:[_-]?bi\w*?)?(?:[_-]?x(?P<x>\d))?", re.IGNORECASE)
SCALED_NAME = re.compile(r"(.+?)[_-]?x(?P<x>\d)", re.IGNORECASE)

Kind = Literal["hr", "lr", "result", ""]


@dataclass(frozen=True)
class File:
    """A picture by its name: `short` is its path inside its folder, without what says HR, LR or a scale."""

    path: Path
    inside: Path
    short: Path
    kind: Kind = ""
    scale: int | None = None


@dataclass(frozen=True)
class Group:
    """HR pictures that lie together, and the LR ones beside them; `results` are pictures that others made of LR."""

    folder: Path
    hr: list[File] = field(default_factory=list)
    lr: list[File] = field(default_factory=list)
    results: int = 0

    def at(self, scale: int) -> Group:
        """What is for one scale, or for any."""
        return replace(
            self,
            hr=[file for file in self.hr if file.scale in (None, scale)],
            lr=[file for file in self.lr if file.scale in (None, scale)],
        )


def find_groups(source: Path, suffixes: Container[str] = SUFFIXES) -> list[Group]:
    """The groups of pictures below a folder, or one picture alone.

    Raises EspcnError where there is no telling which pictures are HR.
    """
    paths = list(folders.find_all([source], suffixes))
    if paths == [source]:
        return [Group(source, [File(source, Path(source.name), Path(source.name).with_suffix(""))])]
    named = [_by_folders(path, path.relative_to(source)) for path in paths]
    tops = sorted({top for top, _ in named if top is not None}, key=lambda top: -len(top.parts))
    gathered: dict[Path, list[File]] = defaultdict(list)
    for top, file in named:
        inside = file.path.relative_to(source)
        if top is None:
            top = next((each for each in tops if each in inside.parents), Path())
        gathered[top].append(file)
    return [_group(source / top, files) for top, files in sorted(gathered.items())]


def find_hr(
    sources: Iterable[Path], suffixes: Container[str] = SUFFIXES, scale: int = 2
) -> tuple[list[Path], list[str]]:
    """All HR pictures of folders and files, and a note where others lie beside them. Raises EspcnError as above."""
    found, notes = find_hr_files(sources, suffixes, scale)
    return [file.path for file in found], notes


def find_hr_files(
    sources: Iterable[Path], suffixes: Container[str] = SUFFIXES, scale: int = 2
) -> tuple[list[File], list[str]]:
    """The same with what their names say."""
    found: list[File] = []
    notes: list[str] = []
    for source in sources:
        for group in find_groups(source, suffixes):
            hr = group.at(scale).hr
            found += hr
            if beside := len(group.hr) - len(hr) + len(group.lr) + group.results:
                used, others = amount(len(hr), "HR picture"), amount(beside, "other")
                notes.append(f"{group.folder} holds {used}; not used: {others}")
    return found, notes


def _by_folders(path: Path, inside: Path) -> tuple[Path | None, File]:
    """A file, and the folder that its marked ones lie in; None if none of its folders says what it is."""
    marks = [_mark(part) for part in inside.parts[:-1]]
    first = next((index for index, mark in enumerate(marks) if mark), None)
    if first is None:
        return None, File(path, inside, inside.with_suffix(""))
    digits = [int(each) for part in inside.parts[:-1] if (each := _scale(part))]
    kind, (stem, said, digit) = marks[first], _by_name(inside.stem)
    if kind == "result" and said:
        kind = said
    if kind == "hr" and said != "hr":
        stem, digit = inside.stem, None
    rest = [part for part in inside.parts[first + 1 : -1] if not (_mark(part) or _scale(part))]
    while first and _scale(inside.parts[first - 1]):
        first -= 1
    scale = digit or (digits[-1] if digits else None)
    return Path(*inside.parts[:first]), File(path, Path(*rest, inside.name), Path(*rest, stem), kind, scale)


def _mark(folder: str) -> Kind:
    if RESULTS_FOLDER.fullmatch(folder):
        return "result"
    return "lr" if LR_FOLDER.fullmatch(folder) else "hr" if HR_FOLDER.fullmatch(folder) else ""


def _scale(folder: str) -> str | None:
    found = SCALE_FOLDER.fullmatch(folder)
    return next(filter(None, found.groups()), None) if found else None


def _by_name(stem: str) -> tuple[str, Kind, int | None]:
    """What a name is without its marks, what they say, and the scale."""
    for kind, pattern in (("hr", HR_NAME), ("lr", LR_NAME), ("lr", SCALED_NAME)):
        if found := pattern.fullmatch(stem):
            digits = found.groupdict()
            scale = digits.get("x") or digits.get("srf")
            return found[1], kind, int(scale) if scale else None  # type: ignore[return-value]
    return stem, "", None


def _group(folder: Path, files: list[File]) -> Group:
    plain = _pair_by_names([file for file in files if not file.kind])
    hr = [file for file in files if file.kind == "hr"]
    lr = [file for file in files if file.kind == "lr"]
    loose = [file for file in plain if file.kind != "lr"]
    lr += [file for file in plain if file.kind == "lr"]
    if lr and hr and loose:
        raise EspcnError(
            f"{folder} holds HR, LR and other pictures, such as {loose[0].path}, and there is no telling what those "
            "are: name the folders with HR pictures",
            folder,
        )
    hr += loose
    if lr and not hr:
        raise EspcnError(
            f"{folder} holds LR pictures alone, such as {lr[0].path}: name the folder with HR pictures", folder
        )
    if lr and not {file.short for file in lr} & {name for file in hr for name in (file.short, _stem(file))}:
        raise EspcnError(
            f"{folder} holds LR pictures, such as {lr[0].path}, and others of other names, such as {hr[0].path}: "
            "name the folder with HR pictures",
            folder,
        )
    return Group(folder, hr, lr, sum(file.kind == "result" for file in files))


def _pair_by_names(files: list[File]) -> list[File]:
    """Files of which no folder says what they are: names count as marks where both of a pair are there."""
    by_folder: dict[Path, list[File]] = defaultdict(list)
    for file in files:
        by_folder[file.path.parent].append(file)
    told: list[File] = []
    for together in by_folder.values():
        marked = [(file, *_by_name(file.path.stem)) for file in together]
        high = {file.path.stem for file in together} | {stem for _, stem, kind, _ in marked if kind == "hr"}
        low = {stem for _, stem, kind, _ in marked if kind == "lr"} & high
        for file, stem, kind, scale in marked:
            if low and (kind == "lr" or (kind == "hr" and stem in low)):
                file = replace(file, short=file.short.with_name(stem), kind=kind, scale=scale)
            told.append(file)
    return told


def _stem(file: File) -> Path:
    return file.inside.with_suffix("")


# --- which belong together -------------------------------------------------------------------------------------------


def files_below(folder: Path, suffixes: Container[str] = SUFFIXES) -> list[File]:
    """All pictures of a folder that holds LR pictures, or a tool's; those in folders called HR are of that kind."""
    found: list[File] = []
    for path in folders.find_all([folder], suffixes):
        inside = path.relative_to(folder)
        _, file = _by_folders(path, inside)
        stem, _, digit = _by_name(inside.stem)
        short = file.short.with_name(stem)
        found.append(replace(file, short=short, kind=file.kind or "lr", scale=digit or file.scale))
    return found


def partners(hr: File, others: Sequence[File], loosely: bool = False) -> list[Path]:
    """Files of `others` that are called as an HR picture; if there are none, as it but for marks.

    `loosely`: if there are none of these either, those whose names go on after it, such as `baby_out.png`.
    """
    names: Sequence[Callable[[File], tuple[Path | str, Path | str]]] = (
        lambda file: (file.inside, hr.inside),
        lambda file: (_stem(file), _stem(hr)),
        lambda file: (file.short, _stem(hr)),
        lambda file: (_stem(file), hr.short),
        lambda file: (file.short, hr.short),
        lambda file: (file.short.name, hr.short.name),
    )
    for both in names:
        found = [file.path for file in others if len(set(both(file))) == 1]
        if found:
            return found
    ends = tuple(f"{hr.short.name}{mark}" for mark in "_-. ")
    return [file.path for file in others if loosely and file.path.name.startswith(ends)]


def partner(hr: File, others: Sequence[File], what: str, where: Path, loosely: bool = False) -> Path:
    """The one of them. Raises EspcnError if there is none, or no telling which."""
    found = partners(hr, others, loosely)
    if len(found) > 1:
        raise EspcnError(f"{hr.path}: both {found[0]} and {found[1]} could be its {what}: keep one of them", hr.path)
    if not found:
        raise EspcnError(f"{hr.path}: no {what} of its name in {where}", hr.path)
    return found[0]
