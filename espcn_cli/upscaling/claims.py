"""A folder that several processes work on: each output is claimed by the one that makes it, as long as that lives."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path

from espcn_cli.errors import BusyError, EspcnError
from espcn_cli.files import claimed
from espcn_cli.upscaling.outcome import Outcome, Task
from espcn_cli.upscaling.outputs import settle

ATTEMPTS = 3
"""How often a folder is made, as another process may just be removing it, empty."""


class Claims:
    """What this process is making. A claim is a locked hidden file beside the output; see `files.claimed`."""

    def __init__(self) -> None:
        self._held: dict[Path, ExitStack] = {}

    def take(self, task: Task) -> Outcome | None:
        """Claim an output; an outcome if another process makes it or has just made it.

        Where nothing can be claimed, writing will tell why. A video is claimed by whoever makes it, and what streams
        by nobody.
        """
        if task.streams or task.video is not None:
            return None
        stack = ExitStack()
        try:
            self._claim(task.output, stack)
        except BusyError as error:
            stack.close()
            return Outcome(task, skipped=True, reason=f"being made by {error.holder}")
        except (EspcnError, OSError):
            stack.close()
            return None
        settled = settle(task, overwrite=False, skip_existing=True)  # it may have been finished before it was claimed
        if isinstance(settled, Outcome):
            stack.close()
            return settled
        self._held[task.output] = stack
        return None

    def _claim(self, output: Path, stack: ExitStack) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            for folder in reversed([each for each in (output.parent, *output.parent.parents) if not each.exists()]):
                folder.mkdir(exist_ok=True)
                stack.callback(_remove_if_empty, folder)
            try:
                stack.enter_context(claimed(output))
                return
            except BusyError:
                raise
            except EspcnError:
                if attempt == ATTEMPTS or output.parent.exists():
                    raise

    def done(self, outcome: Outcome) -> Outcome:
        """Give up the claim of what is finished."""
        if stack := self._held.pop(outcome.task.output, None):
            stack.close()
        return outcome

    def close(self) -> None:
        """Give up all."""
        while self._held:
            self._held.popitem()[1].close()


class NoClaims(Claims):
    """Where nobody else is reckoned with."""

    def take(self, task: Task) -> Outcome | None:
        return None


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
