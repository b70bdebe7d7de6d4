"""python .ci/check_metadata.py WHEEL_OR_SDIST...: their metadata are valid, and what a wheel must hold is in it.

With --oldest PYPROJECT it prints the oldest promised version of each package that users need: constraints for pip.
"""

from __future__ import annotations

import argparse
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement

NEEDED = ("espcn_cli/__main__.py", "espcn_cli/py.typed", "espcn_cli/weights/espcn-m-real_x2.safetensors")


def metadata_of(path: Path) -> bytes:
    """Raises ValueError if something that must be there is not."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            names = wheel.namelist()
            if missing := set(NEEDED) - set(names):
                raise ValueError(f"{path.name} lacks {', '.join(sorted(missing))}")
            return wheel.read(next(name for name in names if name.endswith(".dist-info/METADATA")))
    with tarfile.open(path) as sdist:
        name = next(name for name in sdist.getnames() if name.count("/") == 1 and name.endswith("/PKG-INFO"))
        file = sdist.extractfile(name)
        assert file is not None
        return file.read()


def oldest(pyproject: Path) -> list[str]:
    project = tomllib.loads(pyproject.read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    needed = [
        *project["dependencies"],
        *(line for name in extras if name not in ("all", "test", "lint") for line in extras[name]),
    ]
    floors = []
    for requirement in map(Requirement, needed):
        [floor] = [bound.version for bound in requirement.specifier if bound.operator == ">="]
        floors.append(f"{requirement.name}=={floor}{'.*' if floor.count('.') < 2 else ''}")
    return floors


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--oldest", type=Path, metavar="PYPROJECT")
    arguments = parser.parse_args()
    if arguments.oldest:
        print("\n".join(oldest(arguments.oldest)))
    for path in arguments.files:
        try:
            found = Metadata.from_email(metadata_of(path), validate=True)
        except (ValueError, ExceptionGroup) as error:
            sys.exit(f"{path.name}: {error}")
        print(f"{path.name}: {found.name} {found.version}, Python {found.requires_python}")


if __name__ == "__main__":
    main()
