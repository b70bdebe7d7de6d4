"""An archive of pictures from file to file: its pages go through the same work as any pictures, the rest is copied."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from espcn_cli.errors import EspcnError, TakenError
from espcn_cli.figures import amount
from espcn_cli.files import modified, replacing, scratch
from espcn_cli.pictures import reading, writing
from espcn_cli.pictures.zipped import Archive, Member, Writer
from espcn_cli.upscaling.outcome import Outcome, Task

BYTES_PER_PIXEL = 8
"""The most that a file may take for each pixel that a picture may have: 16 bits in four channels, not compressed."""

ROOM = 2**24
"""And as much beside the pixels."""

Work = Callable[[Iterator[Task]], Iterator[Outcome]]
"""Does tasks, which are made when it asks for them, and yields what became of each in their order."""


@dataclass(frozen=True)
class Progress:
    """How far an archive is: pages done, of how many."""

    done: int
    total: int


@dataclass(frozen=True)
class ArchiveOptions:
    """How archives are done: `suffix` is the format of the pages, None for their own.

    A page of more than `max_pixels` has at most BYTES_PER_PIXEL for each. `progress` is called after each page.
    """

    suffix: str | None = None
    depth: int | None = None
    max_pixels: int = 2**28
    overwrite: bool = True
    skip_existing: bool = False
    keep_time: bool = False
    progress: Callable[[Progress], None] | None = None

    @property
    def most(self) -> int:
        """Bytes of a page's file."""
        return BYTES_PER_PIXEL * self.max_pixels + ROOM


def upscale(task: Task, work: Work, options: ArchiveOptions) -> Outcome:
    """Do an archive, whole or not at all, and tell what became of it.

    Order, folders, names, times and comments stay, and so does all that is no picture. A page that cannot be read stays
    as it was, and is told as failed; if none can be read, the archive has failed. Only an interruption is raised.
    """
    started = time.monotonic()
    try:
        done = _Book(task, options).run(work)
    except TakenError as error:
        return Outcome(task, skipped=True) if options.skip_existing else Outcome(task, error=str(error))
    except EspcnError as error:
        return Outcome(task, error=str(error.about(task.source, task.source_name)))
    except OSError as error:
        return Outcome(task, error=f"cannot write {task.output_name} ({error.strerror or error})")
    except MemoryError:
        return Outcome(task, error=f"{task.source_name}: not enough memory for its pages")
    return replace(done, seconds=time.monotonic() - started)


def preview(task: Task, work: Callable[[Task], Outcome], options: ArchiveOptions) -> Outcome:
    """What `upscale` would do, page by page as `work` expects it."""
    try:
        with Archive(task.source) as archive, TemporaryDirectory() as folder:
            return _Book(task, options).expect(archive, Path(folder), work)
    except EspcnError as error:
        return Outcome(task, error=str(error.about(task.source, task.source_name)))


class _Book:
    """One archive on its way. What is said of its pages is collected in `notes`."""

    def __init__(self, task: Task, options: ArchiveOptions) -> None:
        self.task = task
        self.options = options
        self.kept: dict[int, str] = {}
        self.said: Counter[str] = Counter()
        self.first: dict[str, str] = {}
        self.done: list[Outcome] = []

    def run(self, work: Work) -> Outcome:
        task = self.task
        task.output.parent.mkdir(parents=True, exist_ok=True)
        replaces = self.options.overwrite and not self.options.skip_existing
        with (
            Archive(task.source) as archive,
            replacing(task.output, replaces, modified(task.source) if self.options.keep_time else None) as part,
            scratch(task.output) as folder,
            part.open("wb") as file,
        ):
            total = self._count(archive)
            suffixes = page_suffixes(archive.members, self.options.suffix)
            writer, written = Writer(file), 0
            for outcome in work(self._extracted(archive, folder, suffixes)):
                number = int(outcome.task.source.stem)
                self._copy(writer, archive, written, number)
                written = number + 1
                self._take(writer, archive, number, outcome, suffixes[number])
                if self.options.progress:
                    self.options.progress(Progress(len(self.done) + len(self.kept), total))
            self._copy(writer, archive, written, len(archive.members))
            writer.finish(archive.comment)
            return self._outcome(archive)

    def expect(self, archive: Archive, folder: Path, work: Callable[[Task], Outcome]) -> Outcome:
        """What comes of it by the headers of its pages: times together, the memory of the largest."""
        self._count(archive)
        suffixes = page_suffixes(archive.members, self.options.suffix)
        for task in self._extracted(archive, folder, suffixes):
            outcome = work(task)
            number = int(task.source.stem)
            if outcome.error is None:
                self._add(outcome, archive.members[number])
            else:
                self.kept[number] = self._named(outcome, archive.members[number])
            task.source.unlink(missing_ok=True)
        whole = self._outcome(archive)
        seconds = sum(outcome.seconds for outcome in self.done)
        return replace(whole, seconds=seconds, memory=max(outcome.memory or 0 for outcome in self.done))

    def _count(self, archive: Archive) -> int:
        """How many pages there are. Raises EspcnError if there are none, or they need a password."""
        pages = archive.pages
        if not pages:
            raise EspcnError("no pictures are in it")
        if locked := sum(page.is_encrypted for page in pages):
            raise EspcnError(f"encrypted pages, {locked} of {len(pages)}: unpack it with its password first")
        return len(pages)

    def _extracted(self, archive: Archive, folder: Path, suffixes: dict[int, str]) -> Iterator[Task]:
        """The pages one after the other, as files by their numbers among the members."""
        large = folder / "large"
        for number, suffix in suffixes.items():
            member = archive.members[number]
            source = folder / f"{number}{member.suffix}"
            try:
                archive.extract(member, source, self.options.most)
            except EspcnError as error:
                source.unlink(missing_ok=True)
                self.kept[number] = str(error)
            else:
                yield Task(source, large / f"{number}{suffix}")

    def _take(self, writer: Writer, archive: Archive, number: int, outcome: Outcome, suffix: str) -> None:
        """What became of a page goes into the archive; the page itself where it could not be read."""
        member, task = archive.members[number], outcome.task
        if outcome.error is None:
            writer.add(archive, member, task.output, suffix)
            self._add(outcome, member)
        else:
            reason = self._named(outcome, member)
            if self._can_be_read(task.source):  # so it is not the page's fault
                raise EspcnError(f"{member.name}: {reason}")
            writer.copy(archive, member)
            self.kept[number] = reason
        task.source.unlink(missing_ok=True)
        task.output.unlink(missing_ok=True)

    def _add(self, outcome: Outcome, member: Member) -> None:
        """A page that is done."""
        self.done.append(outcome)
        for note in outcome.warnings:
            self.said[note] += 1
            self.first.setdefault(note, member.name)

    def _copy(self, writer: Writer, archive: Archive, first: int, end: int) -> None:
        for member in archive.members[first:end]:
            writer.copy(archive, member)

    def _can_be_read(self, path: Path) -> bool:
        try:
            reading.read_document(path, self.options.depth)
        except EspcnError:
            return False
        return True

    def _named(self, outcome: Outcome, member: Member) -> str:
        """An error of a page without the name of its file, which nobody knows."""
        text = outcome.error or ""
        for path in (str(outcome.task.source), str(outcome.task.output)):
            text = text.replace(f"{path}: ", "").replace(path, member.name)
        return text

    def _outcome(self, archive: Archive) -> Outcome:
        """Raises EspcnError if no page has been done."""
        if not self.done:
            number, reason = min(self.kept.items())
            name = archive.members[number].name
            raise EspcnError(f"none of its {amount(len(self.kept), 'page')} can be done, such as {name}: {reason}")
        first = self.done[0]
        return Outcome(
            self.task,
            first.size,
            first.output_size,
            model=next((each.model for each in self.done if each.model), None),
            strength=first.strength if len({each.strength for each in self.done}) == 1 else None,
            warnings=tuple(self._warnings(archive)),
            pages=len(self.done),
            failed_pages=tuple(
                f"{archive.members[number].name} stays as it was: {reason}"
                for number, reason in sorted(self.kept.items())
            ),
        )

    def _warnings(self, archive: Archive) -> Iterator[str]:
        for note, times in self.said.items():
            yield f"{self.first[note]}: {note}" if times == 1 else f"{times} pages, such as {self.first[note]}: {note}"
        outside = [member.name for member in archive.members if member.leads_outside]
        if outside:
            several = f"{len(outside)} names lead" if len(outside) > 1 else "a name leads"
            yield f"{several} out of the archive, such as {outside[0]}: kept as it is"


def page_suffixes(members: Sequence[Member], suffix: str | None) -> dict[int, str]:
    """What the suffix of each page becomes, by its number among the members.

    That is `suffix`, else its own if it can be written, else .png. Where another member has that name, the new suffix
    is appended to the page's own.
    """
    pages = {number: member for number, member in enumerate(members) if member.is_page}
    new = {number: _suffix(member, suffix) for number, member in pages.items()}
    taken = {m.name for number, m in enumerate(members) if number not in new or new[number] == m.suffix}
    for number, member in pages.items():
        if new[number] == member.suffix:
            continue
        own = PurePosixPath(member.name).suffix
        stem, added = member.name.removesuffix(own), new[number]
        while stem + new[number] in taken:
            new[number] = own + added if new[number] == added else new[number] + added
        taken.add(stem + new[number])
    return new


def _suffix(member: Member, suffix: str | None) -> str:
    own = suffix or member.suffix
    return own if writing.is_writable(Path(f"page{own}")) else ".png"
