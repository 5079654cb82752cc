"""Base data from a folder, in one of two layouts that the names of its folders tell apart.

Our own: `foregrounds/` (RGBA, straight alpha) and `backgrounds/` (RGB). There may be `pairs/` as well: `NAME_src` and
`NAME_bgr` (RGB), a stage with somebody in it and empty, and `NAME_pha` (grey), the true alpha. All of it is read and
checked at once.

Adobe Deep Image Matting as it is distributed: `Combined_Dataset/Training_set/<set>/fg` and `.../alpha`, where a
foreground and its alpha share their stem. Backgrounds lie beside it in `backgrounds/` or COCO's `train2014/`. 431
cut-outs of 12 MB and 80 000 backgrounds do not fit into memory, so a picture is read when it is drawn. Before
training, names are paired and the header of every file is read.
"""

import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

from capmat_errors import TrainingError
from storage.pictures.declared import shown
from storage.pictures.files import IMAGE_SUFFIXES, read_grey, read_header, read_image, read_rgba

if TYPE_CHECKING:
    from capmat_models.data.base import BaseData

T = TypeVar("T")
Picture = NDArray[np.uint8]

_OWN = ("foregrounds", "backgrounds")
_TRAINING_SETS = ("Combined_Dataset/Training_set", "Training_set")
_BACKGROUNDS = ("backgrounds", "train2014")
_KEEP = 2**30  # bytes of cut-outs that stay in memory; small enough for a worker of the local cluster
_GREY_NOISE = 8  # by which JPEG may separate the channels of a grey picture
_NAMED = 5  # file names in one message


class Pictures(Sequence[Picture], Generic[T]):
    """Pictures that are read when they are drawn.

    Args:
        files: one entry for each picture.
        read: reads the picture of an entry.
        keep: bytes that may stay in memory. The first pictures that are read stay, since training draws all of them
            equally often.
    """

    def __init__(self, files: Sequence[T], read: Callable[[T], Picture], keep: int = 0) -> None:
        self.files, self._read, self._keep = files, read, keep
        self._kept: dict[int, Picture] = {}

    def __len__(self) -> int:
        return len(self.files)

    @overload
    def __getitem__(self, index: int) -> Picture: ...
    @overload
    def __getitem__(self, index: slice) -> "Pictures[T]": ...
    def __getitem__(self, index: int | slice) -> "Picture | Pictures[T]":
        if isinstance(index, slice):
            return Pictures(self.files[index], self._read, self._keep)
        if index in self._kept:
            return self._kept[index]
        picture = self._read(self.files[index])
        if picture.nbytes <= self._keep:
            self._keep -= picture.nbytes
            self._kept[index] = picture
        return picture


def load_base_data(folder: str | Path) -> "BaseData":
    """Open the base data of a folder; see the module for its layouts.

    Raises:
        TrainingError: the folder has no base data, files do not pair up, or a picture has other channels or depth.
        ImageUnreadable: a file is damaged.
    """
    from capmat_models.data.base import BaseData

    folder = Path(folder)
    check_base_data(folder)
    training = _training_set(folder)
    if training is None:
        foregrounds, backgrounds = (pictures_in(folder / part) for part in _OWN)
        return BaseData(
            [_in_srgb(file, read_rgba(file)) for file in foregrounds],
            [_in_srgb(file, read_image(file)) for file in backgrounds],
            [_read_pair(file) for file in pictures_in(folder / "pairs") if file.stem.endswith("_src")],
        )
    behind = _backgrounds(folder)
    pairs = [pair for part in sorted(training.iterdir()) if (part / "fg").is_dir() for pair in _pairs(part)]
    for file in behind:
        _check_header(file, {1, 3})
    for colour, alpha in pairs:
        sizes = [_check_header(colour, {3, 4}), _check_header(alpha, {1, 3})]
        if sizes[0] != sizes[1]:
            raise TrainingError(
                "foreground {}x{} and alpha {}x{} differ in size".format(*sizes[0], *sizes[1]),
                where=str(colour),
                fix="Unpack the data set again.",
            )
    return BaseData(Pictures(pairs, _read_cut_out, _KEEP), Pictures(behind, _read_background))


def check_base_data(folder: Path) -> None:
    """Refuse a folder without base data, before anything is read.

    Raises:
        TrainingError: the folder has no foregrounds, or no backgrounds.
    """
    if _training_set(folder):
        if not _backgrounds(folder):
            raise TrainingError(
                "the folder has cut-outs but no backgrounds",
                where=str(folder),
                fix=f"Put pictures without a subject into {' or '.join(_BACKGROUNDS)} beside them; a link is enough.",
            )
    elif lacking := [part for part in _OWN if not pictures_in(folder / part)]:
        raise TrainingError(
            f"the base data have no pictures in {' and '.join(f'{part}/' for part in lacking)}",
            where=str(folder.absolute()),
            fix="Set `base_data` to the folder of the base data; docs/training.md says what it holds.",
        )


def _backgrounds(folder: Path) -> list[Path]:
    return next((files for name in _BACKGROUNDS if (files := pictures_in(folder / name))), [])


def pictures_in(folder: Path) -> list[Path]:
    """The picture files of a folder, by name; an empty list if the folder does not exist."""
    return sorted(file for file in folder.glob("*") if file.suffix.lower() in IMAGE_SUFFIXES)


def describe_base_data(folder: Path) -> dict[str, Any]:
    """What a card says of the data: the number of files, and a CRC over their names and bytes in order.

    For Adobe's layout the CRC covers names and sizes, since reading 80 000 files takes too long.
    """
    training = _training_set(folder)
    crc, count = 0, 0
    if training is None:
        files = [file for part in ("foregrounds", "backgrounds", "pairs") for file in pictures_in(folder / part)]
    else:
        parts = [part / kind for part in sorted(training.iterdir()) for kind in ("fg", "alpha")]
        files = [file for part in (*parts, *(folder / n for n in _BACKGROUNDS)) for file in pictures_in(part)]
    for file in files:
        content = file.read_bytes() if training is None else str(file.stat().st_size).encode()
        crc = zlib.crc32(content, zlib.crc32(file.relative_to(folder).as_posix().encode(), crc))
        count += 1
    return {"folder": folder.name, "files": count, "crc32": f"{crc:08x}"}


def _training_set(folder: Path) -> Path | None:
    return next((folder / name for name in _TRAINING_SETS if (folder / name).is_dir()), None)


def _pairs(part: Path) -> list[tuple[Path, Path]]:
    """Foregrounds with their alphas, by stem."""
    named: list[dict[str, Path]] = []
    for kind in ("fg", "alpha"):
        files = pictures_in(part / kind)
        named.append({file.stem: file for file in files})
        if twice := sorted({file.name for file in files} - {file.name for file in named[-1].values()}):
            raise TrainingError(
                f"another picture has the same stem: {_some(twice)}",
                where=str(part / kind),
                fix="Keep one of each.",
            )
    colours, alphas = named
    lonely = [colours[stem].name for stem in sorted(colours.keys() - alphas.keys())]
    lonely += [f"alpha/{alphas[stem].name}" for stem in sorted(alphas.keys() - colours.keys())]
    if lonely:
        raise TrainingError(
            f"foregrounds and alphas do not pair up: {_some(lonely)}",
            where=str(part),
            fix="A foreground and its alpha have the same name, up to the suffix; remove or complete these.",
        )
    return [(colours[stem], alphas[stem]) for stem in sorted(colours)]


def _some(names: Sequence[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _check_header(file: Path, channels: set[int]) -> tuple[int, int]:
    header = read_header(file)
    allowed = " or ".join(map(str, sorted(channels)))
    if header.channels not in channels or header.dtype != "uint8":
        raise TrainingError(
            f"the picture has {header.channels} channels of {header.dtype}",
            where=str(file),
            fix=f"It needs {allowed} channels of 8 bits; convert or remove it.",
        )
    return header.width, header.height


def _read_cut_out(pair: tuple[Path, Path]) -> Picture:
    colour, alpha = pair
    rgb = read_rgba(colour)[..., :3] if read_header(colour).channels == 4 else read_image(colour)
    if read_header(alpha).channels == 1:
        pha = read_grey(alpha)
    else:
        three = read_image(alpha)
        if int(np.ptp(three, axis=2).max()) > _GREY_NOISE:
            raise TrainingError("the alpha is coloured", where=str(alpha), fix="Export it as a grey picture.")
        pha = three[..., 1]
    if not pha.any():
        raise TrainingError("the alpha is 0 everywhere", where=str(alpha), fix="Remove it with its foreground.")
    return np.dstack([_in_srgb(colour, rgb), pha])


def _read_pair(file: Path) -> Picture:
    parts = [file]
    for name in ("bgr", "pha"):
        beside = sorted(file.parent.glob(f"{file.stem.removesuffix('_src')}_{name}.*"))
        if len(beside) != 1:
            raise TrainingError(
                f"a pair needs one picture {file.stem.removesuffix('_src')}_{name}, found {len(beside)}",
                where=str(file),
                fix="Complete the pair, or remove what is left of it.",
            )
        parts += beside
    if len({_check_header(part, {1} if part is parts[2] else {3}) for part in parts}) > 1:
        raise TrainingError("the pictures of a pair differ in size", where=str(file), fix="Export them again.")
    src, bgr = (_in_srgb(part, read_image(part)) for part in parts[:2])
    return np.dstack([src, bgr, read_grey(parts[2])])


def _read_background(file: Path) -> Picture:
    if read_header(file).channels == 1:  # some hundred pictures of COCO are grey
        return _in_srgb(file, np.repeat(read_grey(file)[..., None], 3, axis=2))
    return _in_srgb(file, read_image(file))


def _in_srgb(file: Path, picture: Picture) -> Picture:
    """The picture with the colours that its file declares; (H,W,3) or (H,W,4), whose alpha stays.

    Many photographs of public sets have the profile of their camera; read as sRGB they are too dull.
    """
    if not (declared := read_header(file).declared) or picture.dtype != np.uint8:
        return picture
    rgb = shown(picture[..., :3].astype(np.float32) / np.float32(255), declared, "srgb")
    return np.dstack([np.rint(rgb * 255).astype(np.uint8), picture[..., 3:]])
