"""What outputs are called: a pattern such as `{stem}_x{scale}{suffix}`, and which files an earlier run called so."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from string import Formatter

from espcn_cli.errors import UsageError
from espcn_cli.exchange import importing
from espcn_cli.network import named
from espcn_cli.settings import PASSES

FIELDS = {"stem": ".+", "suffix": r"\.[^.]+", "scale": r"\d+", "model": ".+"}
"""What a pattern can hold, and how that looks in a name."""

BESIDE = "{stem}_x{scale}{suffix}"
"""What is written beside its source is called so, unless another pattern is given."""

BESIDE_RESIZED = "{stem}_resized{suffix}"
"""Likewise where a size is asked for instead of a scale."""


@dataclass(frozen=True)
class Naming:
    """A checked pattern, with the scale and the model of this run.

    Raises UsageError for a pattern that is none: with unknown fields or slashes, or that gives no name.
    """

    pattern: str
    scale: int
    model: str

    def __post_init__(self) -> None:
        check(self.pattern)

    def __call__(self, output: Path) -> Path:
        """The path that is written instead of `output`, which has the source's stem and the new suffix."""
        fields = {"stem": output.stem, "suffix": output.suffix, "scale": str(self.scale), "model": self.model}
        return output.with_name(self.pattern.format_map(fields))

    def made_before(self, paths: Iterable[Path]) -> set[Path]:
        """Those of the paths whose names this pattern, or the usual one, makes of others of them in their folder.

        At whatever scale, in whatever format and by whatever model: they are outputs, and no sources.
        """
        folders: dict[Path, list[Path]] = defaultdict(list)
        for path in paths:
            folders[path.parent].append(path)
        patterns = [_expression(pattern) for pattern in dict.fromkeys((self.pattern, BESIDE, BESIDE_RESIZED))]
        found = set()
        for siblings in folders.values():
            stems = {name for path in siblings for name in (path.stem, path.name)}
            found |= {path for path in siblings if any(_comes_from(path, stems, pattern) for pattern in patterns)}
        return found


def naming_of(pattern: str, model: str | None, scale: int | None) -> Naming:
    """A pattern for what `load` opens by the same model and scale. Raises EspcnError as `Naming` and `load` do."""
    check(pattern)
    if "{scale}" not in pattern and "{model}" not in pattern:
        return Naming(pattern, 1, "")
    path = named.find(model, PASSES[scale][0] if scale in PASSES else scale)
    card = importing.read_card(path)
    name = card.name if model is None else path.stem if path == Path(model) else model
    return Naming(pattern, scale or card.settings.scale, re.sub(r"[/\\]", "-", name))


def check(pattern: str) -> None:
    """Raise UsageError for a pattern that cannot name files."""
    told = f"--name {pattern!r}"
    try:
        parts = list(Formatter().parse(pattern))
    except ValueError:
        raise UsageError(f"{told}: braces stand around fields, as in '{BESIDE}'") from None
    for literal, field, spec, conversion in parts:
        if "/" in literal or "\\" in literal:
            raise UsageError(f"{told}: a name has no slashes: the destination says which folder it is in")
        if field is not None and field not in FIELDS:
            fields = ", ".join(f"{{{name}}}" for name in FIELDS)
            raise UsageError(f"{told}: there is no field {{{field}}}: use {fields}")
        if spec or conversion:
            raise UsageError(f"{told}: write {{{field}}} by itself, with nothing after its name")
    if not pattern.endswith("{suffix}") or pattern.count("{suffix}") > 1:
        raise UsageError(f"{told}: it has to end in {{suffix}}, the format, which -f sets")
    if pattern == "{suffix}":
        raise UsageError(f"{told}: it gives no name: use {{stem}}, as in '{BESIDE}'")


def _expression(pattern: str) -> re.Pattern[str]:
    expression, seen = "", set[str]()
    for literal, field, _, _ in Formatter().parse(pattern):
        expression += re.escape(literal)
        if field is not None:
            expression += f"(?P={field})" if field in seen else f"(?P<{field}>{FIELDS[field]})"
            seen.add(field)
    return re.compile(expression, re.DOTALL)


def _comes_from(path: Path, stems: set[str], expression: re.Pattern[str]) -> bool:
    """Whether a file is called after another of those stems or whole names."""
    match = expression.fullmatch(path.name)
    if match is None:
        return False
    if "stem" not in match.groupdict():
        return bool(stems - {path.stem, path.name})
    return match["stem"] in stems - {path.stem, path.name}
