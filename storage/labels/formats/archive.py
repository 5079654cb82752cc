"""Opening what a tool exported: a file, a folder, or a zip file, which is unpacked for the time of reading.

A zip file may name places outside, hold links, or swell to any size, so everything is checked before a byte is
unpacked, and counted again while it is.
"""

import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from capmat_errors import NotFound
from storage.labels.formats.parse import refused
from storage.pictures.files import IMAGE_SUFFIXES

_MAX_FILES = 100_000
_MAX_BYTES = 16 * 2**30
_MAX_FILE = 2**29  # five times the largest picture of a sensor, unpacked
_MAX_RATIO, _SMALL = 200, 2**30  # an empty overlay packs 1000 to 1; a whole export does not
_PIECE = 2**20


class Export(NamedTuple):
    """The files of an export.

    Attributes:
        name: what errors call it: the path that was given.
        folder: where the files lie.
        files: below it, sorted; without hidden ones.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]

    def place(self, file: Path) -> str:
        """Path of a file below the folder, with slashes; of a file that was given itself, all of it."""
        return file.absolute().as_posix() if self._is(file) else file.relative_to(self.folder).as_posix()

    def where(self, file: Path) -> str:
        """What errors call a file: its path, or its place in the zip file."""
        return f"{self.name}: {self.place(file)}" if Path(self.name).is_file() and not self._is(file) else str(file)

    def _is(self, file: Path) -> bool:
        return Path(self.name) == file


@contextmanager
def opened(path: Path) -> Iterator[Export]:
    """Open an export.

    Args:
        path: a file, a folder, or a zip file.

    Raises:
        NotFound: there is nothing at `path`.
        ScribbleError: no file, or a zip file that is damaged, encrypted, or would write elsewhere or too much.
    """
    if path.is_dir():
        yield _found(path, path)
    elif not path.is_file():
        raise NotFound("there is no such file or folder", where=str(path), fix="Check the path.")
    elif path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="capmat-labels-") as folder:
            _unpack(path, Path(folder))
            yield _found(path, Path(folder))
    else:
        yield Export(str(path), path.parent, (path,))


def _found(path: Path, folder: Path) -> Export:
    places = sorted(p for p in folder.rglob("*") if not any(map(_is_hidden, p.relative_to(folder).parts)))
    for place in places:
        if not place.is_file() and (not place.is_dir() or place.suffix.lower() in IMAGE_SUFFIXES):
            raise refused("it is no file", f"{path}: {place.relative_to(folder)}", "Copy it again, or remove it.")
    files = [place for place in places if place.is_file()]
    if not files:
        raise refused("there is no file in it", str(path), "Name what the tool exported.")
    return Export(str(path), folder, tuple(files))


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.is_dir()]
            _check(members, str(path))
            left = _MAX_BYTES
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as file:
                    while piece := source.read(_PIECE):
                        if (left := left - len(piece)) < 0:
                            raise refused("unpacked it is larger than it says", f"{path}: {member.filename}")
                        file.write(piece)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise refused(f"it is no whole zip file ({error})", str(path), "Export or copy it again.") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise refused("two of its files are in each other's way", str(path), "Export it again.") from error
    except OSError as error:
        raise refused(f"it cannot be unpacked ({error.strerror})", str(path), "Unpack it yourself.") from error


def _check(members: list[zipfile.ZipInfo], name: str) -> None:
    if len(members) > _MAX_FILES:
        raise refused(f"it holds {len(members)} files, more than {_MAX_FILES}", name)
    size, packed = sum(member.file_size for member in members), sum(member.compress_size for member in members)
    if size > min(_MAX_BYTES, max(_SMALL, _MAX_RATIO * packed)):
        raise refused(f"it swells from {packed} to {size} bytes", name, "Do not trust it; export again.")
    for member in members:
        where, place = f"{name}: {member.filename}", PurePosixPath(member.filename)
        if place.is_absolute() or ".." in place.parts or any(c in member.orig_filename for c in "\\:\0"):
            raise refused("this file would be written outside", where, "Do not trust it; export again.")
        if stat.S_ISLNK(member.external_attr >> 16):
            raise refused("this is a link, not a file", where, "Export it with the files themselves.")
        if member.flag_bits & 1:
            raise refused("this file is encrypted", where, "Export it without a password.")
        if member.file_size > _MAX_FILE:
            raise refused(f"this file has {member.file_size} bytes, more than {_MAX_FILE}", where)
