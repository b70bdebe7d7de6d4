"""XMP, changed where it stands: properties that speak of pixels, in either of its two forms; the rest byte by byte.

Python's expat finds the properties. It expands no entities here: a document with declarations of its own is refused.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from xml.parsers import expat

from espcn_cli.pictures import inventory
from espcn_cli.pictures.change import Change, rounded
from espcn_cli.pictures.inventory import Name

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
FRAME = ("adobe:ns:meta/", RDF, "http://www.w3.org/XML/1998/namespace")
"""Namespaces of what stands around properties."""

TAG = re.compile(rb"<[^\s/>]+((?:\s+[^\s=]+\s*=\s*(?:\"[^\"]*\"|'[^']*'))*)\s*/?>")
ATTRIBUTE = re.compile(rb"\s+([^\s=]+)\s*=\s*[\"']((?<=\")[^\"]*|(?<=')[^']*)[\"']")

MOST_TAGS = 200_000
"""Tags of a text that is read."""

Value = tuple[str, int, int]
"""A text and the place where it stands, from the first byte to that behind the last."""

Edit = tuple[int, int, str]
"""What to put in a place of the text."""


@dataclass(slots=True)
class Property:
    """One property in the text: `values` are its numbers or words with the places where they stand, `place` its own.

    `owner` is the same for those of one structure, in whichever form they are written.
    """

    name: Name
    owner: int
    place: tuple[int, int]
    values: list[Value] = field(default_factory=list)


@dataclass(slots=True)
class _Element:
    name: Name
    start: int
    inside: int
    is_empty: bool
    is_leaf: bool = True
    property: Property | None = None


class _Reader:
    """Collects the properties of a text in UTF-8."""

    def __init__(self, text: bytes) -> None:
        if text.count(b"<") > MOST_TAGS:
            raise ValueError("it is too long")
        self.text = text
        self.found: list[Property] = []
        self.declared: list[tuple[str, int, int]] = []
        self.open: list[_Element] = []
        self.parser = expat.ParserCreate("utf-8", " ")
        self.parser.ordered_attributes = True
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.Parse(text, True)

    def _refuse(self, *_: Any) -> None:
        raise ValueError("it declares entities or a type of document")

    def _start(self, name: str, attributes: list[str]) -> None:
        place = self.parser.CurrentByteIndex
        tag = TAG.match(self.text, place)
        if tag is None:
            raise ValueError("odd XML")
        element = _Element(_name(name), place, tag.end(), tag[0].endswith(b"/>"))
        if self.open:
            self.open[-1].is_leaf = False
        if element.name[0] not in FRAME:
            owner = self.open[-1].start if self.open else -1
            element.property = Property(element.name, owner, (place, place))
            self.found.append(element.property)
        elif self.open and element.name != (RDF, "Description"):
            element.property = self.open[-1].property  # the items of a list
        self.open.append(element)
        written = list(ATTRIBUTE.finditer(self.text, *tag.span(1)))
        self.declared += [(found[2].decode(), *found.span()) for found in written if _declares(found[1])]
        written = [found for found in written if not _declares(found[1])]
        for found, key, value in zip(written, attributes[::2], attributes[1::2], strict=True):
            if _name(key)[0] not in FRAME:
                self.found.append(Property(_name(key), place, found.span(), [(value, *found.span(2))]))

    def _end(self, name: str) -> None:
        element = self.open.pop()
        place = self.parser.CurrentByteIndex
        if element.property is None:
            return
        if element.is_leaf and not element.is_empty:
            value = self.text[element.inside : place].decode()
            element.property.values.append((value, element.inside, place))
        if element.name == element.property.name:
            end = element.inside if element.is_empty else self.text.index(b">", place) + 1
            element.property.place = (element.start, end)


def _name(text: str) -> Name:
    space, _, name = text.rpartition(" ")
    return space, name


def _declares(attribute: bytes) -> bool:
    return attribute == b"xmlns" or attribute.startswith(b"xmlns:")


def as_utf_8(xmp: bytes) -> bytes:
    """The text in UTF-8, without the NULs that some leave around it."""
    if xmp[:2] in (b"\xff\xfe", b"\xfe\xff"):
        xmp = xmp.decode("utf-16").encode()
    return xmp.strip(b"\0")


def may_change(xmp: bytes) -> bool:
    """Whether XMP that cannot be read may speak of anything that changes."""
    return _speaks(xmp, inventory.XMP_MOVING | inventory.XMP_LEAVING)


def _speaks(xmp: bytes, words: Iterable[str]) -> bool:
    return any(word.encode() in xmp for word in words)


def cleaned(xmp: bytes, is_turned: bool) -> tuple[bytes, list[str]]:
    """Upright, and without what is no longer true as the file holds one picture now; and names of what that was.

    Empty if nothing else was in it. Raises ValueError or ExpatError if it cannot be read.
    """
    xmp = as_utf_8(xmp)
    edits: list[Edit] = []
    gone: list[str] = []
    reader = _Reader(xmp)
    for entry in reader.found:
        if entry.name == inventory.XMP_ORIENTATION:
            edits += [(start, end, "1") for _, start, end in entry.values]
        if entry.name == inventory.XMP_SEMANTIC:
            gone += [inventory.XMP_SEMANTICS.get(value, "a picture beside this one") for value, _, _ in entry.values]
        if (word := _word_for(entry, is_turned)) is not None:
            edits.append((*entry.place, ""))
            gone.append(word)
    removed, left = _spaces(reader, [edit[:2] for edit in edits if not edit[2]])
    edits += [(start, end, "") for space, start, end in reader.declared if space in removed - left]
    words = [word for word in dict.fromkeys(gone) if word]
    return (_edited(xmp, edits) if left or not removed else b""), words


def _spaces(reader: _Reader, gone: list[tuple[int, int]]) -> tuple[set[str], set[str]]:
    """Namespaces of the properties in these places, and of those elsewhere."""
    gone = sorted(gone)
    removed: set[str] = set()
    left: set[str] = set()
    end = following = 0
    for entry in sorted(reader.found, key=lambda entry: entry.place):
        while following < len(gone) and gone[following][0] <= entry.place[0]:
            end = max(end, gone[following][1])
            following += 1
        (removed if entry.place[1] <= end else left).add(entry.name[0])
    return removed, left


def _word_for(entry: Property, is_turned: bool) -> str | None:
    """What a property that is no longer true is called, SILENT or a name; None if it stays."""
    space = entry.name[0]
    if entry.name in inventory.XMP_GONE:
        word = inventory.XMP_GONE[entry.name]
        return word if any(value.strip() not in ("", "0") for value, _, _ in entry.values) else inventory.SILENT
    for start, word in inventory.XMP_SPACES_GONE.items():
        if space.startswith(start):
            return word
    if is_turned:
        return inventory.XMP_UPRIGHT_ONLY.get(entry.name, inventory.XMP_UPRIGHT_SPACES.get(space))
    return None


def moved(xmp: bytes, change: Change) -> bytes:
    """With everything that speaks of pixels brought up to date. Raises ValueError or ExpatError as `cleaned`."""
    if not _speaks(xmp, inventory.XMP_MOVING):
        return xmp
    owners: dict[int, list[Property]] = defaultdict(list)
    reader = _Reader(xmp)
    for entry in reader.found:
        owners[entry.owner].append(entry)
    in_pixels = {value for entry in reader.found if entry.name == inventory.XMP_BOUNDARY_UNIT for value in _one(entry)}
    edits: list[Edit] = []
    for entries in owners.values():
        with suppress(ValueError, OverflowError):  # numbers that are none
            edits += _of_structure(entries, change)
        for entry in entries:
            with suppress(ValueError, OverflowError):
                edits += _of_property(entry, change, in_pixels == {"pixel"})
    return _edited(xmp, edits)


def with_resolution(xmp: bytes, dpi: int) -> bytes:
    """With so many dots per inch where it speaks of them. Raises ValueError or ExpatError as `cleaned`."""
    xmp = as_utf_8(xmp)
    edits: list[Edit] = []
    for entry in _Reader(xmp).found:
        if entry.name in inventory.XMP_RESOLUTION:
            edits += [(start, end, f"{dpi}/1") for _, start, end in entry.values]
        elif entry.name == inventory.XMP_RESOLUTION_UNIT:
            edits += [(start, end, "2") for _, start, end in entry.values]
    return _edited(xmp, edits)


def _of_property(entry: Property, change: Change, boundaries: bool) -> list[Edit]:
    if boundaries and entry.name in inventory.XMP_BOUNDARY:
        return _multiplied(entry, change.factors[inventory.XMP_BOUNDARY[entry.name]])
    if entry.name in inventory.XMP_SIZES:
        size = str(change.after[inventory.XMP_SIZES[entry.name]])
        return [(start, end, size) for _, start, end in entry.values]
    if entry.name in inventory.XMP_PIXELS:
        return _multiplied(entry, change.factors[inventory.XMP_PIXELS[entry.name]])
    if entry.name in inventory.XMP_SPOTS and len(entry.values) in (2, 3, 4):
        return _replaced(entry.values, [str(value) for value in change.spot(_floats(_texts(entry)))])
    if entry.name == inventory.XMP_RECTANGLE and len(entry.values) == 1:
        return _replaced(entry.values, [_rectangle(entry.values[0][0], change)])
    return []


def _of_structure(entries: list[Property], change: Change) -> list[Edit]:
    """Values that make sense together alone: a region's, or a width and a height with their unit."""
    by_name = {entry.name: entry for entry in entries if len(entry.values) == 1}
    if all(name in by_name for name in inventory.XMP_AREA):
        values = [by_name[name].values[0] for name in inventory.XMP_AREA]
        x, y, width, height = _floats([text for text, _, _ in values])
        if _unit(by_name, inventory.XMP_AREA_UNIT) != "pixel":
            change = Change((1, 1), (1, 1), change.turn)
        area = [*change.point(x, y), *change.sides(width, height)]
        return _replaced(values, [_short(number) for number in area])
    if all(name in by_name for name in inventory.XMP_PER_PIXEL):
        values = [by_name[name].values[0] for name in inventory.XMP_PER_PIXEL]
        texts = [text.strip() for text, _, _ in (reversed(values) if change.turn.swaps_sides else values)]
        return _replaced(values, [_times(text, factor) for text, factor in zip(texts, change.factors, strict=True)])
    is_pixels = _unit(by_name, inventory.XMP_DIMENSIONS_UNIT) in ("pixel", "pixels", "")
    if is_pixels and all(name in by_name for name in inventory.XMP_DIMENSIONS):
        values = [by_name[name].values[0] for name in inventory.XMP_DIMENSIONS]
        width, height = change.sides(*_floats([text for text, _, _ in values]))
        return _replaced(values, [str(rounded(width)), str(rounded(height))])
    return []


def _unit(by_name: Mapping[Name, Property], name: Name) -> str:
    return by_name[name].values[0][0].strip() if name in by_name else ""


def _rectangle(text: str, change: Change) -> str:
    """Left, top, width and height in parts of the picture, turned with it."""
    x, y, width, height = _floats(text.split(","))
    turn = Change((1, 1), (1, 1), change.turn)
    centre = turn.point(x + width / 2, y + height / 2)
    sides = turn.sides(width, height)
    corner = [middle - side / 2 for middle, side in zip(centre, sides, strict=True)]
    return ", ".join(_short(number) for number in (*corner, *sides))


def _multiplied(entry: Property, factor: Fraction) -> list[Edit]:
    return [(start, end, _times(text.strip(), factor)) for text, start, end in entry.values]


def _times(text: str, factor: Fraction) -> str:
    """A whole number, a fraction or a decimal times a factor, written in the same way. Raises ValueError for others."""
    number, stroke, below = text.partition("/")
    product = Fraction(number) * factor
    if stroke:
        return f"{product.numerator}/{product.denominator * int(below)}"
    return str(rounded(product)) if number.lstrip("+-").isdecimal() else _short(float(product))


def _texts(entry: Property) -> list[str]:
    return [text for text, _, _ in entry.values]


def _one(entry: Property) -> list[str]:
    return [text.strip() for text in _texts(entry)]


def _floats(texts: Iterable[str]) -> list[float]:
    return [float(text) for text in texts]


def _short(number: float) -> str:
    return f"{number:.10g}"


def _replaced(values: list[Value], texts: list[str]) -> list[Edit]:
    return [(start, end, text) for (_, start, end), text in zip(values, texts, strict=True)]


def _edited(xmp: bytes, edits: list[Edit]) -> bytes:
    """With these places replaced; of edits inside one another the outer one is made."""
    parts: list[bytes] = []
    done = 0
    for start, end, text in sorted(edits, key=lambda edit: (edit[0], -edit[1])):
        if start >= done:
            parts += [xmp[done:start], text.encode()]
            done = end
    return b"".join([*parts, xmp[done:]])
