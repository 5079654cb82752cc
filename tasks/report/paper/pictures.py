"""Pictures for `capmat paper`: strips of mattes on the hardest frames of the benchmark, and charts of the tables."""

from collections.abc import Mapping, Sequence

from storage.benchmark import Benchmark
from storage.store.root import Root
from storage.takes.take import Take
from tasks.report.paper.tables import Row as Scored
from tasks.report.paper.tables import Tables
from tasks.runtime.step import Record
from tasks.show.charts import curves_svg, dots_svg
from tasks.show.figures import mse_text
from tasks.show.sheet import Row, contact_sheet, to_jpeg
from tasks.validate.conditions import noisy_frame, read_matte

JUDGE_NAMES = {"supervisor": "supervisor", "truth": "ground truth", "teacher": "refined teacher"}
"""Names of the judges for people."""
PAPER = "the paper"
_TABLES = {
    "table1": ("Table 1: MSE, 1e-4", "mse", 1e4),
    "table2": ("Table 2: MSE, 1e-4", "mse", 1e4),
    "table3": ("Table 3: MSE against the refined teacher, 1e-4", "mse", 1e4),
    "plates": ("Plates in the base data: MSE, 1e-4", "mse", 1e4),
    "fig8": ("Fig. 8: PSNR of held-out cameras, dB", "psnr", 1.0),
}
CAPTIONS = {
    "table1": "Alphas of teacher and student, before and after; the frames on which the base student errs most.",
    "table2": "Students with and without a teacher.",
    "fig5": "Frames with noise, matted by teachers that were trained for equally many steps.",
    "fig6": "Teachers by the share of scribbled frames in their batches.",
    "plates": "Teachers by the share of base composites over plates of the stage.",
    "fig8": "Held-out cameras, rendered from base and from refined mattes.",
}
_SHOWN = {
    "table1": {"teacher base": "teacher base", "refined": "teacher refined", "student base": "student base",
               "distilled 0": "distilled"},
    "table2": {"scribbles_only 0": "scribbles only", "frozen_refiner 0": "frozen refinement",
               "distilled 0": "distilled"},
    "plates": {"plates 0 0": "0 %", "plates 0.5 0": "50 %", "plates 0.5 0.2": "50 %, scribbles"},
    "fig6": {"share 0": "0 %", "share 0.2": "20 %", "share 0.6": "60 %", "share 1": "100 %"},
}  # fmt: skip
_FRAMES = 2  # of a strip


def make_strips(
    root: Root, benchmark: Record, scores: Mapping[str, Record], judged: Record | None
) -> dict[str, bytes]:
    """A JPEG per part that has at least two mattes to compare.

    Args:
        root: the store.
        benchmark: record of the benchmark.
        scores: records of `tasks.validate.conditions`, by the names that `flows.paper` gives them.
        judged: record of the radiance fields; None without.
    """
    strips = {}
    for part, wanted in _SHOWN.items():
        shown = {title: scores[name] for name, title in wanted.items() if name in scores}
        if len(shown) > 1:
            strips[part] = _strip(root, benchmark, shown)
    noisy = [(float(name.partition("@")[2]), name) for name in scores if name.startswith("plain @")]
    if noisy:
        noise, _ = max(noisy)
        shown = {f"{title} noise": scores[f"{name} @{noise:g}"]
                 for name, title in (("no_noise", "trained without"), ("plain", "trained with"))}  # fmt: skip
        strips["fig5"] = _strip(root, benchmark, shown, noise)
    if judged:
        strips["fig8"] = root.read(judged["sheet"])
    return strips


def _strip(root: Root, benchmark: Record, shown: Mapping[str, Record], noise: float = 0.0) -> bytes:
    take = Take.open(root, benchmark["take"])
    frozen = Benchmark.open(root, benchmark["benchmark"], benchmark["version"])
    rows = []
    for camera, frame in _hardest(next(iter(shown.values()))):
        alphas = [read_matte(root, score["folder"], camera, frame) for score in shown.values()]
        scores = [score["per_image"]["supervisor"][f"{camera}/{frame}"] for score in shown.values()]
        pictures = [noisy_frame(take, camera, frame, noise, 0), frozen.alpha(take.name, camera, frame), *alphas]
        rows.append(Row(f"{camera} frame {frame}", pictures, ("", "", *(mse_text(one["mse"]) for one in scores))))
    return to_jpeg(contact_sheet(rows, ["image", "supervisor", *shown]))


def _hardest(score: Record) -> Sequence[tuple[str, int]]:
    each = score["per_image"]["supervisor"]
    worst = sorted(each, key=lambda picture: (-each[picture]["mse"], picture))[:_FRAMES]
    return [(camera, int(frame)) for camera, _, frame in (picture.rpartition("/") for picture in worst)]


def make_charts(tables: Tables) -> dict[str, str]:
    """An SVG document per part that has a figure."""
    charts: dict[str, str] = {}
    for part, rows in tables.items():
        judges = list(dict.fromkeys(judge for row in rows for judge in row["by"]))
        if not judges:
            continue
        if part in _TABLES:
            title, measure, scale = _TABLES[part]
            values = [(row["title"], _values(row, measure, scale)) for row in rows]
            charts[part] = dots_svg(title, [*(JUDGE_NAMES[judge] for judge in judges), PAPER], values)
        elif part == "fig5":
            panels = {f"Fig. 5: MSE by the {JUDGE_NAMES[judge]}, 1e-4": _noise_lines(rows, judge) for judge in judges}
            charts[part] = curves_svg(panels, "noise on the frames (standard deviation)")
        else:
            lines = {JUDGE_NAMES[judge]: _share_line(rows, judge) for judge in judges}
            charts[part] = curves_svg({"Fig. 6: MSE, 1e-4": lines}, "scribbled frames in a batch, %")
    return charts


def _values(row: Scored, measure: str, scale: float) -> dict[str, float]:
    ours = {JUDGE_NAMES[judge]: scale * scores[measure] for judge, scores in row["by"].items()}
    theirs = {PAPER: scale * row["paper"][measure]} if measure in row["paper"] else {}
    return ours | theirs


def _noise_lines(rows: Sequence[Scored], judge: str) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if judge in row["by"]:
            noise = float(row["key"].partition("@")[2])
            lines.setdefault(row["title"].partition(" in training")[0], []).append(
                (noise, 1e4 * row["by"][judge]["mse"])
            )
    return lines


def _share_line(rows: Sequence[Scored], judge: str) -> list[tuple[float, float]]:
    return [(100 * float(row["key"]), 1e4 * row["by"][judge]["mse"]) for row in rows if judge in row["by"]]
