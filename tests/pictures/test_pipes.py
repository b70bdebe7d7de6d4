"""What can be read once: looked into and still whole for its reader, and kept on the disk while it comes."""

from __future__ import annotations

import errno
import io
import os
import threading
from pathlib import Path

import pytest

from espcn_cli.errors import EspcnError
from espcn_cli.paths import STREAM
from espcn_cli.pictures import pipes
from espcn_cli.pictures.containers import kind_of
from espcn_cli.pictures.spool import SeekingReader, Spool

needs_named_pipes = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")


@needs_named_pipes
def test_who_looks_into_a_pipe_leaves_it_whole(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    data = b"YUV4MPEG2 W2 H2\n" + bytes(range(256)) * 300
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(data))
    writer.start()
    assert kind_of(tmp_path / "pipe") == "yuv4mpegpipe"
    with pipes.taken(tmp_path / "pipe") as pipe:
        assert pipe.read() == data
    writer.join()


def test_standard_input_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for data in (b"YUV4MPEG2 W2", b"", b"other"):
        stdin = io.TextIOWrapper(io.BytesIO(data))
        monkeypatch.setattr("sys.stdin", stdin)
        kind_of(STREAM)
        with pipes.taken(STREAM) as pipe:
            assert pipe.read() == data
        assert not stdin.buffer.closed


@needs_named_pipes
def test_what_nobody_takes_is_closed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    broken = threading.Event()

    def write() -> None:
        try:
            with (tmp_path / "pipe").open("wb", buffering=0) as pipe:
                while True:
                    pipe.write(bytes(1000))
        except BrokenPipeError:
            broken.set()

    threading.Thread(target=write).start()
    assert kind_of(tmp_path / "pipe") is None
    pipes.forget()
    assert broken.wait(60)


def test_a_spool_is_read_from_several_places_while_it_comes(tmp_path: Path) -> None:
    source, sink = os.pipe()
    spool = Spool(os.fdopen(source, "rb", buffering=0), tmp_path / "input")
    os.write(sink, b"abcdef")
    one, other = spool.reader(False), SeekingReader(spool)
    assert one.read(4) == b"abcd"
    assert other.read(3) == b"abc"

    def more() -> None:
        os.write(sink, b"ghi")
        os.close(sink)

    threading.Timer(0.05, more).start()
    assert one.read(4) == b"ef"
    assert one.read(4) == b"ghi"
    assert (one.read(4), other.seek(-2, os.SEEK_END), other.read(9)) == (b"", 7, b"hi")
    other.close()
    spool.close()


def test_who_waits_is_told_when_it_is_stopped_or_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, sink = os.pipe()
    spool = Spool(os.fdopen(source, "rb", buffering=0), tmp_path / "input")
    threading.Timer(0.05, spool.stop).start()
    assert spool.reader(False).read(4) == b""
    spool.close()
    os.close(sink)

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "open", lambda *_, **__: Full())
    full = Spool(io.BytesIO(b"data"), tmp_path / "other")
    with pytest.raises(EspcnError, match=r"No space left.*TMPDIR"):
        full.wait(0)
