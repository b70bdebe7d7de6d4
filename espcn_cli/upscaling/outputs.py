"""Outputs before the work: those that exist are skipped or refused, those that cannot be written have failed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

from espcn_cli.errors import EspcnError
from espcn_cli.files import already_there, check_folder, check_name, existing, refuse_existing, target_of
from espcn_cli.upscaling.outcome import Outcome, Task


def check_outputs(
    tasks: Sequence[Task | Outcome], overwrite: bool = False, skip_existing: bool = False
) -> list[Task | Outcome]:
    """The tasks that can be done, and outcomes in place of the others.

    Raises UsageError if outputs exist that are neither to be replaced nor skipped, EspcnError if none can be written,
    all for one reason.
    """
    if not (overwrite or skip_existing):
        refuse_existing([task.output for task in tasks if isinstance(task, Task) and not task.streams])
    check_once = cache(check_folder)
    settled = [settle(task, overwrite, skip_existing) for task in tasks]
    errors = [_trouble(task, check_once) if isinstance(task, Task) else None for task in settled]
    first = errors[0] if errors else None
    if first is not None and all(str(error) == str(first) for error in errors):
        raise first
    return [
        Outcome(task, error=str(error)) if isinstance(task, Task) and error else task
        for task, error in zip(settled, errors, strict=True)
    ]


def settle(task: Task | Outcome, overwrite: bool, skip_existing: bool) -> Task | Outcome:
    """An outcome for a task whose output exists and may not be replaced; anything else as it is."""
    if isinstance(task, Outcome) or task.streams or not existing([task.output]):
        return task
    if skip_existing:
        return Outcome(task, skipped=True)
    return task if overwrite else Outcome(task, error=str(already_there([task.output])))


def _trouble(task: Task, check_once: Callable[[Path], None]) -> EspcnError | None:
    """Why an output cannot be written, if that is so."""
    if task.streams:
        return None
    try:
        check_once(target_of(task.output).parent)
        check_name(task.output)
    except EspcnError as error:
        return error
    return None
