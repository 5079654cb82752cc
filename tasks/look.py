"""Pictures of what the store holds: contact sheets for the report and for the Prefect UI."""

import base64
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
from prefect.artifacts import create_markdown_artifact
from prefect.context import TaskRunContext

from storage.plates import Stage
from storage.root import Root
from storage.scribbles import LabelSet
from storage.take import Take
from tasks.contact_sheet import Row, contact_sheet, error_picture, overlay_picture, to_jpeg
from tasks.scribble import LABELS
from tasks.step import retryable
from tasks.truth import Reference


def show(key: str, title: str, jpeg: bytes, note: str = "") -> None:
    """Put a picture beside the run in the Prefect UI; outside a task nothing happens."""
    if TaskRunContext.get() is not None:
        data = base64.b64encode(jpeg).decode()
        create_markdown_artifact(
            f"# {title}\n\n{note}\n\n![{title}](data:image/jpeg;base64,{data})", key=key, description=title
        )


def spread(names: Sequence[str], count: int) -> list[str]:
    """`count` of the names, evenly spread, the first among them."""
    step = max(1, len(names) // count)
    return list(names[::step][:count])


def stage_sheet(root: Root, take: Take, cameras: Sequence[str], alphas: Mapping[str, Reference]) -> np.ndarray:
    """Image, plate and some alphas (`heading -> alpha of camera and frame`), a row per camera, first frame."""
    stage, frame = Stage.open(root, take.stage), take.frames[0]
    rows = [
        Row(
            f"{take.name} {camera} frame {frame}",
            [take.read(camera, frame), stage.plate(camera), *(alpha(camera, frame) for alpha in alphas.values())],
        )
        for camera in cameras
    ]
    return contact_sheet(rows, ["image", "plate", *alphas])


def before_after_sheet(
    root: Root,
    take: Take,
    pictures: Sequence[tuple[str, int]],
    base: str,
    refined: str,
    reference: Reference,
) -> np.ndarray:
    """Image, plate, base and refined alpha with their errors against a reference, one row per (camera, frame)."""
    stage, rows = Stage.open(root, take.stage), []
    for camera, frame in pictures:
        true = reference(camera, frame)
        before, after = (take.read_alpha(run, camera, frame) for run in (base, refined))
        mse = [f"MSE {1e4 * float(np.mean((pha - true) ** 2)):.1f}e-4" for pha in (before, after)]
        rows.append(
            Row(
                f"{take.name} {camera} frame {frame}",
                [
                    take.read(camera, frame),
                    stage.plate(camera),
                    before,
                    after,
                    error_picture(before, true),
                    error_picture(after, true),
                ],
                ("", "", mse[0], mse[1]),
            )
        )
    return contact_sheet(rows, ["image", "plate", "base alpha", "refined alpha", "base error", "refined error"])


def scribble_sheet(root: Root, labels: str, count: int = 8) -> np.ndarray:
    """Some scribbled frames with their strokes, four to a row."""
    entries = LabelSet.open(root, LABELS, labels).entries
    some = entries[:: max(1, len(entries) // count)][:count]
    pictures = [overlay_picture(Take.open(root, e.take).read(e.camera, e.frame), e.label) for e in some]
    names = [f"{e.take} {e.camera} frame {e.frame}" for e in some]
    rows = []
    for i in range(0, len(pictures), 4):
        line = [*pictures[i : i + 4], *[None] * 4][:4]
        rows.append(Row("", line, tuple(names[i : i + 4])))
    return contact_sheet(rows, ["", "", "", ""])


def show_take(store: str, take: str, runs: Sequence[str]) -> None:
    """A contact sheet of a take and its runs, beside the flow run in the Prefect UI."""
    root = Root(store)
    recording = Take.open(root, take)
    alphas = {run: partial(recording.read_alpha, run) for run in runs}
    sheet = stage_sheet(root, recording, spread(list(recording.cameras), 3), alphas)
    show(f"sheet-{take}", f"take {take}", to_jpeg(sheet))


show_take_task = retryable("contact sheet", "contact sheet of {take}")(show_take)
