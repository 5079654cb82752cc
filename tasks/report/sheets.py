"""Pictures of what the store holds: contact sheets for the report and for the Prefect UI."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from storage.benchmark import Benchmark
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.trimaps import Reference
from storage.store.root import Root
from storage.takes.stage import Stage
from storage.takes.take import Take
from tasks.runtime.step import Record, retryable
from tasks.show.artifact import show
from tasks.show.figures import METRICS, Metric, mse_text
from tasks.show.markdown import table
from tasks.show.sheet import Row, contact_sheet, error_picture, overlay_picture, spread, to_jpeg


def stage_sheet(take: Take, pictures: Sequence[tuple[str, int]], alphas: Mapping[str, Reference]) -> np.ndarray:
    """Image, plate, and alphas (heading -> alpha of camera and frame); a row per (camera, frame)."""
    stage = Stage.under(take)
    rows = [
        Row(
            f"{take.name} {camera} frame {frame}",
            [take.read(camera, frame), stage.plate(camera), *(alpha(camera, frame) for alpha in alphas.values())],
        )
        for camera, frame in pictures
    ]
    return contact_sheet(rows, ["image", "plate", *alphas])


def before_after_sheet(
    take: Take, pictures: Sequence[tuple[str, int]], base: str, refined: str, reference: Reference
) -> np.ndarray:
    """Image, plate, base and refined alpha with their errors against a reference; a row per (camera, frame)."""
    stage, rows = Stage.under(take), []
    for camera, frame in pictures:
        true = reference(camera, frame)
        before, after = (take.read_alpha(run, camera, frame) for run in (base, refined))
        mse = [mse_text(float(np.mean((pha - true) ** 2))) for pha in (before, after)]
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
    version = LabelSet.open(root, LABELS, labels)
    some = version.keys[:: max(1, len(version) // count)][:count]
    pictures = [
        overlay_picture(Take.open(root, take).read(camera, frame), version.label(take, camera, frame))
        for take, camera, frame in some
    ]
    names = [f"{take} {camera} frame {frame}" for take, camera, frame in some]
    rows = []
    for i in range(0, len(pictures), 4):
        line = [*pictures[i : i + 4], *[None] * 4][:4]
        rows.append(Row("", line, tuple(names[i : i + 4])))
    return contact_sheet(rows, ["", "", "", ""])


def show_take(store: str, take: str, runs: Sequence[str]) -> None:
    """Show a contact sheet of a take and its runs beside the flow run in the Prefect UI."""
    recording = Take.open(Root(store), take)
    alphas = {run: partial(recording.read_alpha, run) for run in runs}
    first = [(camera, recording.frames[0]) for camera in spread(list(recording.cameras), 3)]
    sheet = stage_sheet(recording, first, alphas)
    show(f"sheet-{take}", f"take {take}", to_jpeg(sheet))


show_take_task = retryable("contact sheet", "contact sheet of {take}")(show_take)


def show_validation(store: str, benchmark: Record, validation: Record, runs: Mapping[str, str]) -> None:
    """Show scores and the hardest pictures of the benchmark beside the flow run in the Prefect UI.

    Args:
        store: URL of the store.
        benchmark: record of the benchmark.
        validation: record of `tasks.validate.score.validate`.
        runs: row -> alpha run that was scored.
    """
    root = Root(store)
    take = Take.open(root, benchmark["take"])
    frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"])
    each, first = validation["per_image"], next(iter(runs))
    hardest = sorted(each[first], key=lambda picture: -each[first][picture]["mse"])[:3]
    rows = []
    for picture in hardest:
        camera, _, number = picture.rpartition("/")
        frame = int(number)
        alphas = [take.read_alpha(run, camera, frame) for run in runs.values()]
        errors = [mse_text(each[row][picture]["mse"]) for row in runs]
        pictures = [take.read(camera, frame), frozen.alpha(take.name, camera, frame), *alphas]
        rows.append(Row(f"{camera} frame {frame}", pictures, ("", "", *errors)))
    sheet = contact_sheet(rows, ["image", "supervisor", *(row.replace("_", " ") for row in runs)])
    title = f"validation on {benchmark['benchmark']}"
    show("validation", title, to_jpeg(sheet), scores_table(validation["supervisor"], runs))


def scores_table(scores: Mapping[str, Mapping[str, float]], runs: Mapping[str, str]) -> str:
    """Markdown: the scores of each row in the paper's units, the best of each column in bold.

    Args:
        scores: row -> `mse`, `sad`, `grad` as per-pixel means.
        runs: row -> alpha run.
    """
    best = {metric.key: min(scores[row][metric.key] for row in runs) for metric in METRICS}

    def cell(row: str, metric: Metric) -> str:
        text = f"{scores[row][metric.key] * metric.scale:.2f}"
        return f"**{text}**" if scores[row][metric.key] == best[metric.key] else text

    rows = [[row.replace("_", " "), *(cell(row, m) for m in METRICS), f"`{run}`"] for row, run in runs.items()]
    return table(["", *(f"{m.title} {m.unit}" for m in METRICS), "run"], rows)


show_validation_task = retryable("scores", "scores on {benchmark[benchmark]}")(show_validation)
