"""Exports as annotation tools write them, made from labels: (H, W) uint8 of 0 background, 1 foreground, 255 open."""

import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.pictures.png import encode_png

Label = NDArray[np.uint8]
NAMES = {1: "person", 0: "floor"}
"""What the two sides are called in these exports."""


def put(path: Path, data: bytes | str | Any) -> Path:
    """Write bytes, text or JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if not isinstance(data, bytes | str):
        data = json.dumps(data)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def overlay(label: Label) -> NDArray[np.uint8]:
    """Green and red on nothing."""
    painted = np.zeros((*label.shape, 4), np.uint8)
    painted[label == 1] = (0, 255, 0, 255)
    painted[label == 0] = (255, 0, 0, 255)
    return painted


def trimap(label: Label) -> Label:
    """Black, grey and white."""
    return np.select([label == 0, label == 1], [0, 255], 128).astype(np.uint8)


def to_counts(mask: NDArray[np.bool_], *, columns: bool) -> list[int]:
    """Run lengths of a mask, outside first."""
    flat = mask.reshape(-1, order="F" if columns else "C")
    changes = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], changes, [len(flat)]])).tolist()
    return [0, *runs] if flat[0] else runs


def coco_text(counts: Sequence[int]) -> str:
    """COCO's compressed text of counts: five bits a character, from the fourth count on the difference."""
    text = []
    for n, count in enumerate(counts):
        value = count - counts[n - 2] if n > 2 else count
        while True:
            bits, value = value & 31, value >> 5
            done = value == (-1 if bits & 16 else 0)
            text.append(chr(bits + 48 + (0 if done else 32)))
            if done:
                break
    return "".join(text)


def cvat(labels: dict[str, Label]) -> str:
    """CVAT for images 1.1 with masks in their boxes."""
    images = []
    for n, (name, label) in enumerate(labels.items()):
        masks = []
        for value in sorted({0, 1} & set(np.unique(label).tolist())):
            rows, columns = np.nonzero(label == value)
            top, left = rows.min(), columns.min()
            part = label[top : rows.max() + 1, left : columns.max() + 1] == value
            runs = ", ".join(map(str, to_counts(part, columns=False)))
            masks.append(
                f'<mask label="{NAMES[value]}" source="manual" occluded="0" rle="{runs}" left="{left}" top="{top}" '
                f'width="{part.shape[1]}" height="{part.shape[0]}" z_order="0"></mask>'
            )
        height, width = label.shape
        images.append(f'<image id="{n}" name="{name}" width="{width}" height="{height}">{"".join(masks)}</image>')
    return f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{"".join(images)}</annotations>'


def brush(mask: NDArray[np.bool_], *, literal: bool = False) -> list[int]:
    """Label Studio's stream of bits: a run a value, or all values one by one."""
    values = np.repeat((mask * 255).astype(np.uint8).reshape(-1), 4)
    bits = f"{len(values):032b}" + f"{7:05b}" + "".join(f"{length - 1:04b}" for length in (3, 4, 8, 16))
    if literal:
        for start in range(0, len(values), 65536):
            piece = values[start : start + 65536]
            bits += "0" + "11" + f"{len(piece) - 1:016b}" + "".join(f"{value:08b}" for value in piece)
    else:
        edges = np.flatnonzero(np.diff(values)) + 1
        for run in np.split(values, edges):
            for start in range(0, len(run), 65536):
                count = len(run[start : start + 65536]) - 1
                which = next(n for n, length in enumerate((3, 4, 8, 16)) if count < 1 << length)
                bits += "1" + f"{which:02b}" + f"{count:0{(3, 4, 8, 16)[which]}b}" + f"{run[0]:08b}"
    bits += "0" * (-len(bits) % 8)
    return [int(bits[n : n + 8], 2) for n in range(0, len(bits), 8)]


def labelstudio(labels: dict[str, Label]) -> list[Any]:
    """One task a picture, one brush a side."""
    tasks = []
    for n, (name, label) in enumerate(labels.items()):
        results = [
            {
                "id": f"r{value}",
                "type": "brushlabels",
                "original_width": label.shape[1],
                "original_height": label.shape[0],
                "image_rotation": 0,
                "value": {"format": "rle", "rle": brush(label == value), "brushlabels": [NAMES[value]]},
            }
            for value in (0, 1)
            if (label == value).any()
        ]
        image = f"/data/local-files/?d={name}"
        tasks.append({"id": n, "data": {"image": image}, "annotations": [{"id": 5, "result": results}]})
    return tasks


def coco(labels: dict[str, Label], *, packed: bool = True) -> dict[str, Any]:
    """Instances with run lengths."""
    images, annotations = [], []
    for n, (name, label) in enumerate(labels.items()):
        height, width = label.shape
        images.append({"id": n, "file_name": name, "height": height, "width": width})
        for value in (0, 1):
            counts = to_counts(label == value, columns=True)
            runs = {"size": [height, width], "counts": coco_text(counts) if packed else counts}
            annotations.append({"id": len(annotations), "image_id": n, "category_id": value, "segmentation": runs})
    categories = [{"id": value, "name": name} for value, name in NAMES.items()]
    return {"images": images, "annotations": annotations, "categories": categories}


def labelme(name: str, label: Label) -> dict[str, Any]:
    """One picture's JSON with masks in their boxes."""
    shapes = []
    for value in sorted({0, 1} & set(np.unique(label).tolist())):
        rows, columns = np.nonzero(label == value)
        box = [[int(columns.min()), int(rows.min())], [int(columns.max()), int(rows.max())]]
        part = (label[box[0][1] : box[1][1] + 1, box[0][0] : box[1][0] + 1] == value).astype(np.uint8) * 255
        mask = base64.b64encode(encode_png(part)).decode()
        shapes.append({"label": NAMES[value], "shape_type": "mask", "points": box, "mask": mask, "flags": {}})
    height, width = label.shape
    return {"version": "5.4.1", "imagePath": name, "imageHeight": height, "imageWidth": width, "shapes": shapes}


def labelme_json(*shapes: dict[str, Any], size: tuple[int, int] = (20, 30)) -> dict[str, Any]:
    """One picture's JSON with any shapes."""
    return {"imagePath": "0001.jpg", "imageHeight": size[0], "imageWidth": size[1], "shapes": list(shapes)}


def davis(sequence: str, frames: int, **paths: Sequence[tuple[int, Sequence[tuple[float, float]]]]) -> dict[str, Any]:
    """Scribbles on frames (`f3=[(object, path), ...]`)."""
    scribbles: list[list[Any]] = [[] for _ in range(frames)]
    for frame, drawn in paths.items():
        scribbles[int(frame[1:])] = [
            {"path": [list(point) for point in path], "object_id": number, "start_time": 0, "end_time": 100}
            for number, path in drawn
        ]
    return {"sequence": sequence, "scribbles": scribbles, "annotated_frame": 0}
