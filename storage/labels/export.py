"""Label sets as files that people can look at, change, and import again.

    overlay   RGBA PNG, green foreground, red background, nothing where the label is open
    label     grey PNG, 0 background, 1 foreground, 255 open
    strokes   JSON of `storage.labels.strokes`

All below <take>/<camera>/<frame>, the names that an import expects.
"""

from typing import Literal, NamedTuple

import numpy as np

from storage.labels.label_set import Key, LabelSet
from storage.labels.raster import BACKGROUND, FOREGROUND, GREEN, RED
from storage.labels.strokes import encode_strokes
from storage.pictures.png import encode_png
from storage.store.root import Root


class Written(NamedTuple):
    """What was exported.

    Attributes:
        files: keys below the place.
        painted: frames whose painted pixels are in none of them.
    """

    files: list[str]
    painted: list[Key]


def export_labels(labels: LabelSet, place: Root, format: Literal["overlay", "label", "strokes"]) -> Written:
    """Write every frame of a label set; files of the same name are replaced.

    Raises:
        StoreError: `place` cannot be written to.
    """
    done = Written([], [])
    for key in labels.keys:
        take, camera, frame = key
        name = f"{take}/{camera}/{frame:04d}"
        if format == "strokes":
            drawing = labels.strokes(*key)
            if drawing is None or labels.is_painted(*key):
                done.painted.append(key)
            if drawing is None:
                continue
            name, data = f"{name}.json", encode_strokes(drawing)
        else:
            name += ".png"
            label = labels.label(*key)
            if format == "overlay":
                painted = np.zeros((*label.shape, 4), np.uint8)
                painted[label == FOREGROUND] = (*GREEN, 255)
                painted[label == BACKGROUND] = (*RED, 255)
                label = painted
            data = encode_png(label)
        place.write(name, data)
        done.files.append(name)
    return done
