"""Open an export of a tool: a file, a folder, or a zip file, which is unpacked for the time of reading.

A hostile zip file may name paths outside, hold links, or swell to any size. So everything is checked before a byte is
unpacked, and bytes are counted again while unpacking.
"""

import os
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

_MAX_FILES, _MAX_DEPTH = 100_000, 32
_MAX_BYTES = 16 * 2**30
_MAX_FILE = 2**29  # five times the largest picture of a sensor, unpacked
_MAX_RATIO, _SMALL = 200, 2**30  # an empty overlay packs 1000 to 1, a complete export does not
_CHUNK = 2**20
_ENTRY = 30  # bytes before the name of an entry (APPNOTE.TXT, 4.3.7)
_UTF8 = 0x800  # flag of a name; others are in code page 437


class Export(NamedTuple):
    """The files of an export.

    Attributes:
        name: the path that was given, for errors.
        folder: where the files lie.
        files: all files below it, sorted, without hidden ones.
    """

    name: str
    folder: Path
    files: tuple[Path, ...]

    def path_of(self, file: Path) -> str:
        """Return the path of a file below the folder, with slashes; its absolute path if it was given itself."""
        return file.absolute().as_posix() if self._is(file) else file.relative_to(self.folder).as_posix()

    def where(self, file: Path) -> str:
        """Return the name of a file for errors: its path, or zip file and path in it."""
        return f"{self.name}: {self.path_of(file)}" if Path(self.name).is_file() and not self._is(file) else str(file)

    def _is(self, file: Path) -> bool:
        return Path(self.name) == file


@contextmanager
def opened(path: Path) -> Iterator[Export]:
    """Open an export.

    Args:
        path: a file, a folder, or a zip file.

    Raises:
        NotFound: `path` does not exist.
        ScribbleError: the folder is empty, or the zip file is damaged, encrypted, or would write elsewhere or too
            much.
    """
    if path.is_dir():
        yield _listed(path, path)
    elif path.exists() and not path.is_file():
        raise refused("this is not a file", str(path), "Name the export.")
    elif not path.is_file():
        raise NotFound("the file or folder does not exist", where=str(path), fix="Check the path.")
    elif path.suffix.lower() == ".zip":
        with tempfile.TemporaryDirectory(prefix="capmat-labels-") as folder:
            _unpack(path, Path(folder))
            yield _listed(path, Path(folder))
    else:
        yield Export(str(path), path.parent, (path,))


def _listed(path: Path, folder: Path) -> Export:
    entries = entries_below(folder)
    for entry in entries:
        if not entry.is_file() and (not entry.is_dir() or entry.suffix.lower() in IMAGE_SUFFIXES):
            raise refused("it is not a file", f"{path}: {entry.relative_to(folder)}", "Copy it again, or remove it.")
    files = tuple(entry for entry in entries if entry.is_file())
    if not files:
        raise refused("the export holds no file", str(path), "Name what the tool exported.")
    return Export(str(path), folder, files)


def entries_below(folder: Path) -> list[Path]:
    """Return every file and folder below a folder, sorted, without hidden ones; links to folders are followed."""
    entries = []
    for top, folders, names in os.walk(folder, followlinks=True):
        above = Path(top).resolve()
        # A link that leads back up would be followed for ever.
        visible = (name for name in folders if not _is_hidden(name))
        folders[:] = [name for name in visible if not above.is_relative_to(Path(top, name).resolve())]
        entries += [Path(top, name) for name in (*folders, *names) if not _is_hidden(name)]
    return sorted(entries)


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _unpack(path: Path, folder: Path) -> None:
    try:
        with zipfile.ZipFile(path) as archive:
            members = [m for m in archive.infolist() if not m.filename.endswith("/")]  # is_dir() fails without a name
            _check(members, path)
            left = _MAX_BYTES
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(member) as source, target.open("xb") as file:
                    while chunk := source.read(_CHUNK):
                        if (left := left - len(chunk)) < 0:
                            raise refused("the zip file understates its size", f"{path}: {member.filename}")
                        file.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise refused(f"it is not a complete zip file ({error})", str(path), "Export or copy it again.") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise refused("two of its files collide", str(path), "Export it again.") from error
    except OSError as error:
        raise refused(f"it cannot be unpacked ({error.strerror})", str(path), "Unpack it yourself.") from error


def _check(members: list[zipfile.ZipInfo], path: Path) -> None:
    name = str(path)
    if len(members) > _MAX_FILES:
        raise refused(f"it holds {len(members)} files, more than {_MAX_FILES}", name)
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            what = "two of its files share their bytes"
            raise refused(what, f"{name}: {member.filename}", "Do not trust it; export again.")
        end = (
            member.header_offset
            + _ENTRY
            + len(member.orig_filename.encode("utf-8" if member.flag_bits & _UTF8 else "cp437", "replace"))
            + member.compress_size
        )
    size, packed = sum(member.file_size for member in members), min(end, path.stat().st_size)
    if size > min(_MAX_BYTES, max(_SMALL, _MAX_RATIO * packed)):
        raise refused(f"it swells from {packed} to {size} bytes", name, "Do not trust it; export again.")
    for member in members:
        where, target = f"{name}: {member.filename}", PurePosixPath(member.filename)
        if not target.parts:
            raise refused("a file in it has no name", name, "Export it again.")
        if target.is_absolute() or ".." in target.parts or any(c in member.orig_filename for c in "\\:\0"):
            raise refused("this file would be written outside", where, "Do not trust it; export again.")
        if len(target.parts) > _MAX_DEPTH:
            raise refused(f"it lies more than {_MAX_DEPTH} folders deep", where)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise refused("this is a link, not a file", where, "Export it with the files themselves.")
        if member.flag_bits & 1:
            raise refused("this file is encrypted", where, "Export it without a password.")
        if member.file_size > _MAX_FILE:
            raise refused(f"this file has {member.file_size} bytes, more than {_MAX_FILE}", where)
