"""Files appear whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from espcn_cli.errors import EspcnError

if TYPE_CHECKING:
    from torch import Tensor

PART_SUFFIX = ".espcn-part"
"""What the temporary files beside a destination end in, so that what a killed process left can be recognised."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place when the block ends well and vanishes when it does not.

    Raises EspcnError if the folder cannot be written.
    """
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem[:40]}-", suffix=PART_SUFFIX)
        os.close(descriptor)
    except OSError as error:
        raise EspcnError(f"cannot write {path} ({error.strerror}): choose another destination") from None
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:
        raise EspcnError(f"cannot write {path} ({error.strerror or error}): nothing was changed") from None
    finally:
        temporary.unlink(missing_ok=True)


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file whole or not at all."""
    from safetensors.torch import save as to_bytes

    data = to_bytes({name: t.detach().cpu().contiguous() for name, t in tensors.items()}, dict(metadata))
    with replacing(path) as temporary:
        temporary.write_bytes(data)
