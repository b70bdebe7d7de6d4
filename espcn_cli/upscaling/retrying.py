"""What failed in a run, by what `--json` or `--json-lines` told of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from espcn_cli.errors import EspcnError, UsageError
from espcn_cli.upscaling.outcome import Outcome, Task


def failed_in(log: Path) -> set[str]:
    """Sources whose last outcome in a log is an error, or has failed pages, as absolute paths.

    A log that ends in the middle, as a kill leaves it, is read as far as it goes. Raises EspcnError if it cannot be
    read, UsageError if it is no such log.
    """
    try:
        text = log.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError as error:
        raise EspcnError(f"{log}: cannot be read ({error.strerror or error})", log) from None
    failed: dict[str, bool] = {}
    for record in _records(text, log):
        if not (isinstance(record, dict) and isinstance(record.get("source"), str) and "error" in record):
            raise _broken(log)
        failed[_same(record["source"])] = record["error"] is not None or bool(record.get("failed_pages"))
    if not failed:
        raise UsageError(f"{log} tells of no file: --retry-failed reads what --json or --json-lines has printed", log)
    return {source for source, error in failed.items() if error}


def only_failed(tasks: Sequence[Task | Outcome], log: Path) -> list[Task | Outcome]:
    """Those of the tasks whose sources failed in a log. Raises UsageError if failures there are none of the tasks."""
    failed = failed_in(log)
    again = [each for each in tasks if _same(str((each.task if isinstance(each, Outcome) else each).source)) in failed]
    if failed and not again:
        raise UsageError(
            f"none of the sources failed in {log}: name the same as then, from the same folder, such as {min(failed)}",
            log,
        )
    return again


def _same(source: str) -> str:
    return os.path.abspath(source)  # noqa: PTH100


def _records(text: str, log: Path) -> Iterator[Any]:
    """The objects of a JSON list, or of lines."""
    decoder, place = json.JSONDecoder(), 0
    while True:
        while place < len(text) and (text[place].isspace() or text[place] in "[],"):
            place += 1
        if place == len(text):
            return
        try:
            record, place = decoder.raw_decode(text, place)
        except json.JSONDecodeError as error:
            if text[place] == "{" and "\n" not in text[error.pos :].strip():  # cut short
                return
            raise _broken(log) from None
        yield record


def _broken(log: Path) -> UsageError:
    return UsageError(f"{log} is not what --json or --json-lines has printed: it cannot tell what failed", log)
