"""The pictures of a comparison: every model's matte of a benchmark's hardest pictures, and what each errs on most."""

from collections.abc import Sequence

import numpy as np

from storage.benchmark import Benchmark, Key
from storage.store.root import Root
from storage.takes.take import Take
from tasks.show.figures import mse_text
from tasks.show.sheet import RGB, Row, comp_on_green, contact_sheet, error_picture, fit_height, rgb8, to_jpeg
from tasks.validate.page import DOUBT, Comparison, Shown
from tasks.validate.score import Scores

_MOST = 24  # pictures of a benchmark side by side; the table has all
_HEIGHT = 480  # of such a picture at most, in pixels


def side_by_side(root: Root, benchmark: str, comparison: Comparison, order: Sequence[str]) -> list[Shown]:
    """Pictures of a benchmark, in the given order; of many the first ones.

    Args:
        root: the store.
        benchmark: `name@version`.
        comparison: its models.
        order: pictures, `take/camera/frame`.
    """
    frozen, shown = open_benchmark(root, benchmark), []
    for picture in order[:_MOST]:
        take, camera, frame = key = _key(picture)
        recording = Take.open(root, take)
        src = _small(recording.read(camera, frame))
        known = key in frozen.known
        reference = frozen.truth(*key) if known else frozen.alpha(*key)
        mattes = {
            row: _over_green(src, recording.read_alpha(model["run"], camera, frame))
            for row, model in comparison["models"].items()
        }
        shown.append(Shown(picture, mattes, _over_green(src, reference), known))
    return shown


def picture_sheet(root: Root, benchmark: str, row: str, comparison: Comparison) -> RGB:
    """A model's worst, median and best picture by MSE against the supervisor, with the errors."""
    frozen = open_benchmark(root, benchmark)
    scores: dict[str, Scores] = comparison["per_image"][benchmark]["supervisor"][row]
    order = sorted(scores, key=lambda picture: -scores[picture]["mse"])
    chosen = {order[-1]: "best", order[len(order) // 2]: "median", order[0]: "worst"}
    columns = ["image", "supervisor", row, "error"] + (["truth", "error by truth"] if frozen.known else [])
    rows = []
    for picture, word in reversed(chosen.items()):
        take, camera, frame = key = _key(picture)
        recording = Take.open(root, take)
        pha, ours = recording.read_alpha(comparison["models"][row]["run"], camera, frame), frozen.alpha(*key)
        pictures: list[np.ndarray | None] = [recording.read(camera, frame), ours, pha, error_picture(pha, ours)]
        doubt = DOUBT.removeprefix("the supervisor ") if picture in comparison["doubts"].get(benchmark, {}) else ""
        captions = ["", doubt, "", mse_text(scores[picture]["mse"])]
        if frozen.known:
            true = frozen.truth(*key) if key in frozen.known else None
            pictures += [true, None if true is None else error_picture(pha, true)]
            mse = comparison["per_image"][benchmark]["truth"][row].get(picture, {}).get("mse")
            captions += ["", "" if mse is None else mse_text(mse)]
        rows.append(Row(f"{word}: {take} {camera} {frame}", pictures, tuple(captions)))
    return contact_sheet(rows, columns)


def open_benchmark(root: Root, benchmark: str) -> Benchmark:
    """The benchmark `name@version`."""
    name, _, version = benchmark.partition("@")
    return Benchmark.open(root, name, version)


def _small(picture: np.ndarray) -> RGB:
    image = rgb8(picture)
    return fit_height(image, min(_HEIGHT, image.shape[0]))


def _over_green(src: RGB, pha: np.ndarray) -> bytes:
    return to_jpeg(comp_on_green(src, fit_height(rgb8(pha), src.shape[0])[:, : src.shape[1], 0]))


def _key(picture: str) -> Key:
    take, camera, frame = picture.rsplit("/", 2)
    return take, camera, int(frame)
