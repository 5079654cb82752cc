"""Write a label set as files that people can look at, change, and import again.

    overlay   RGBA PNG, green foreground, red background, transparent where the label is open
    label     grey PNG, 0 background, 1 foreground, 255 open
    strokes   JSON of `storage.labels.strokes`

Files are called <take>/<camera>/<frame>, the names that an import expects. (`storage.export` writes mattes, and
`capmat_models.weights.export` writes networks.)
"""

from typing import Literal, NamedTuple

import numpy as np

from storage.labels.label_set import Key, LabelSet
from storage.labels.raster import BACKGROUND, FOREGROUND, GREEN, RED
from storage.labels.strokes import encode_strokes
from storage.pictures.png import encode_png
from storage.store.root import Root


class Written(NamedTuple):
    """The result of an export.

    Attributes:
        files: keys below the folder.
        painted: frames whose painted pixels are in none of the files.
    """

    files: list[str]
    painted: list[Key]


def export_labels(labels: LabelSet, out: Root, format: Literal["overlay", "label", "strokes"]) -> Written:
    """Write every frame of a label set; files of the same name are replaced.

    Raises:
        StoreError: `out` cannot be written to.
    """
    files, painted = list[str](), list[Key]()
    for key in labels.keys:
        take, camera, frame = key
        name = f"{take}/{camera}/{frame:04d}"
        if format == "strokes":
            drawing = labels.strokes(*key)
            if labels.is_painted(*key):
                painted.append(key)
            if drawing is None:
                continue
            name, data = f"{name}.json", encode_strokes(drawing)
        else:
            picture = labels.label(*key)
            if format == "overlay":
                overlay = np.zeros((*picture.shape, 4), np.uint8)
                overlay[picture == FOREGROUND] = (*GREEN, 255)
                overlay[picture == BACKGROUND] = (*RED, 255)
                picture = overlay
            name, data = f"{name}.png", encode_png(picture)
        out.write(name, data)
        files.append(name)
    return Written(files, painted)
