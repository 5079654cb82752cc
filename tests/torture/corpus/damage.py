"""Ways to spoil a file."""

import random
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

Harm = Callable[[Path], object]
HUGE = 100_000


def cut(share: float) -> Harm:
    """Keep the first part of a file; all but the last byte for 1."""
    return lambda path: path.write_bytes((data := path.read_bytes())[: min(int(len(data) * share), len(data) - 1)])


def shortened(path: Path) -> None:
    """Without the last bytes."""
    path.write_bytes(path.read_bytes()[:-16])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def zeroed(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def text(path: Path) -> None:
    path.write_text("<html>404 not found</html>\n" * 40)


def noise(path: Path) -> None:
    path.write_bytes(random.Random(5).randbytes(max(path.stat().st_size, 64)))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def loop(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def dangling(path: Path) -> None:
    path.unlink()
    path.symlink_to("nowhere")


def pipe(path: Path) -> None:
    """A named pipe: who opens it waits for ever."""
    import os

    path.unlink()
    os.mkfifo(path)


def bytes_at(at: int, new: bytes) -> Harm:
    """Replace some bytes; `at` counts from the end if negative."""

    def harm(path: Path) -> None:
        data = bytearray(path.read_bytes())
        start = at % len(data)
        data[start : start + len(new)] = new
        path.write_bytes(data)

    return harm


def flipped(seed: int, first: int = 0, last: int | None = None, count: int = 3) -> Harm:
    """Turn a few bits of the bytes between `first` and `last`."""

    def harm(path: Path) -> None:
        data, dice = bytearray(path.read_bytes()), random.Random(seed)
        for _ in range(count):
            data[dice.randrange(first, min(last or len(data), len(data)))] ^= 1 << dice.randrange(8)
        path.write_bytes(data)

    return harm


def replaced(old: bytes, new: bytes) -> Harm:
    """Replace bytes that must be there, the first time they are."""

    def harm(path: Path) -> None:
        data = path.read_bytes()
        assert old in data, f"{old!r} is not in {path}"
        path.write_bytes(data.replace(old, new, 1))

    return harm


def sized(width: int, height: int) -> Harm:
    """Let a picture's header claim another size."""
    return lambda path: path.write_bytes(_SIZERS[path.suffix](bytearray(path.read_bytes()), width, height))


def tag(number: int, value: int) -> Harm:
    """Set a tag of a little-endian TIFF."""
    return lambda path: path.write_bytes(_tagged(bytearray(path.read_bytes()), number, value))


def _png(data: bytearray, width: int, height: int) -> bytes:
    struct.pack_into(">II", data, 16, width, height)
    struct.pack_into(">I", data, 29, zlib.crc32(data[12:29]))
    return bytes(data)


def _tiff(data: bytearray, width: int, height: int) -> bytes:
    for number, value in ((256, width), (257, height), (278, height)):
        data = bytearray(_tagged(data, number, value))
    return bytes(data)


def _tagged(data: bytearray, number: int, value: int) -> bytes:
    (at,) = struct.unpack_from("<I", data, 4)
    for entry in range(at + 2, at + 2 + 12 * struct.unpack_from("<H", data, at)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] == number:
            struct.pack_into("<HII", data, entry + 2, 4, 1, value)
            return bytes(data)
    raise AssertionError(f"the file has no tag {number}")


def _exr(data: bytearray, width: int, height: int) -> bytes:
    for name in (b"dataWindow\0box2i\0", b"displayWindow\0box2i\0"):
        struct.pack_into("<4i", data, data.index(name) + len(name) + 4, 0, 0, width - 1, height - 1)
    return bytes(data)


def _dpx(data: bytearray, width: int, height: int) -> bytes:
    struct.pack_into(">II", data, 772, width, height)
    return bytes(data)


def _jpeg(data: bytearray, width: int, height: int) -> bytes:
    struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, min(height, 65535), min(width, 65535))
    return bytes(data)


_SIZERS = {".png": _png, ".tif": _tiff, ".exr": _exr, ".dpx": _dpx, ".dng": _tiff, ".jpg": _jpeg}


def unlinked(path: Path) -> Path:
    path.unlink()
    return path


def cmyk(path: Path) -> None:
    from PIL import Image

    Image.new("CMYK", (64, 48)).save(path)


def longer(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")
