"""A comparison of models as a page that opens anywhere, and as markdown."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NotRequired, TypedDict

from tasks.show.figures import MISSING, Metric, counted, decimals, mse_text
from tasks.show.markdown import table
from tasks.show.page import render
from tasks.validate.answer import Answer, called, sentence, short

DOUBT = "the supervisor may be wrong here"
TITLES = {"supervisor": "against the supervisor", "truth": "against the known truth"}


class Mean(TypedDict):
    """A measure over the pictures of a benchmark."""

    mean: float
    interval: tuple[float, float] | None
    """None for too few pictures, see `capmat_models.confidence.FEWEST`."""
    pictures: int


class FrameTime(TypedDict):
    """Time of a frame, and what it was measured on."""

    ms: float
    fastest: float
    slowest: float
    device: str
    hardware: str
    threads: int
    size: Sequence[int]
    together: int


Rows = Mapping[str, Mapping[str, Mean]]
"""Row (a name for a model in its role) -> measure -> its mean."""


class Comparison(TypedDict):
    """Models beside each other. Benchmarks are called `name@version`, columns are the keys of `TITLES`.

    A measure or column that a benchmark does not allow is absent.
    """

    answers: list[Answer]
    """Is the newer model of each pair better; the most important answer first."""
    models: dict[str, dict[str, Any]]
    """Row -> `model`, `role` and `run`."""
    scores: dict[str, dict[str, Rows]]
    """By benchmark and column."""
    per_image: Mapping[str, Mapping[Any, Any]]
    """By benchmark, column and row: picture -> its scores."""
    latency: dict[str, dict[str, FrameTime]]
    """By benchmark and row."""
    hull: dict[str, dict[str, Mapping[str, Any]]]
    """By benchmark and row: `tasks.validate.measure.HullScore`."""
    doubts: Mapping[str, Mapping[str, float]]
    """By benchmark: `tasks.validate.doubt.Doubts`."""
    level: float
    """Share of the resampled means inside an interval."""
    created: NotRequired[str]
    store: NotRequired[str]
    benchmarks: NotRequired[dict[str, dict[str, Any]]]
    """By benchmark: `entries`, `known`, `takes` and `supervisors`."""


@dataclass(frozen=True)
class Shown:
    """One picture of a benchmark by every model, JPEGs over green."""

    picture: str  # take/camera/frame
    mattes: Mapping[str, bytes]  # by row of the comparison
    reference: bytes
    known: bool  # whether the reference is the known truth; else it is the supervisor's


def markdown(comparison: Comparison, metrics: Sequence[Metric]) -> str:
    """A table per benchmark and column: each model's means with their intervals, and the time of a frame."""
    parts = [" ".join(sentence(answer, comparison["models"]) for answer in comparison["answers"][:1])]
    for name, columns in comparison["scores"].items():
        for column, rows in columns.items():
            heads = ["", *(f"{m.title} {m.unit}" for m in _measured(rows, metrics)), "ms/frame", "hull %"]
            parts.append(f"**{name}** {TITLES[column]}, {_count(rows)}")
            parts.append(table(heads, _lines(comparison, name, column, metrics, lambda text: f"**{text}**")))
        parts.append(_foot(comparison, name))
    return "\n\n".join(filter(None, [*parts, _certainty(comparison)]))


def render_validation(
    comparison: Comparison,
    metrics: Sequence[Metric],
    charts: Mapping[str, str],
    sheets: Mapping[str, bytes],
    pairs: Mapping[str, Sequence[Shown]],
) -> str:
    """A complete HTML document.

    Args:
        comparison: the figures, with `created`, `store` and `benchmarks`.
        metrics: what to print, in this order, where it was measured.
        charts: SVG documents by `benchmark column`.
        sheets: JPEG files by `benchmark row`.
        pairs: pictures by benchmark.
    """
    benchmarks, cards, models = [], [], comparison["models"]
    said = [sentence(answer, models) for answer in comparison["answers"]]
    for name, scores in comparison["scores"].items():
        columns = [_column(comparison, name, column, metrics) | {"chart": charts[f"{name} {column}"].encode()}
                   for column in scores]  # fmt: skip
        pictures = [(called(row, models[row]), sheets[f"{name} {row}"]) for row in models]
        shown = [_card(comparison, name, one) for one in pairs[name]]
        cards += shown
        foot = _foot(comparison, name)
        benchmarks.append({"name": name, "columns": columns, "foot": foot, "sheets": pictures, "pairs": shown})
    first = comparison["answers"][0] if comparison["answers"] else None
    return render(
        "validate/page.html",
        script="validate/page.js",
        title="Models on benchmarks",
        facts=(comparison["created"], comparison["store"]),
        verdict=said[0] if said else _best(comparison),
        answers=said[1:],
        rows=[(row, called(row, model)) for row, model in models.items()],
        before=first["old"] if first else next(iter(models)),
        after=first["new"] if first else list(models)[-1],
        takes=_choices(card["take"] for card in cards),
        cameras=_choices(card["camera"] for card in cards),
        benchmarks=benchmarks,
        certainty=_certainty(comparison),
    )


def _column(comparison: Comparison, name: str, column: str, metrics: Sequence[Metric]) -> dict[str, Any]:
    """What stands under a heading: the scores, and the MSE of every picture, the hardest first."""
    rows, each = comparison["scores"][name][column], comparison["per_image"][name][column]
    doubts = comparison["doubts"].get(name, {}) if column == "supervisor" else {}
    title = f"{TITLES[column]}, {_count(rows)}"
    if column == "supervisor":
        title += f" ({', '.join(comparison['benchmarks'][name]['supervisors'])})"
    return {
        "title": title,
        "heads": ["", *((m.title, m.unit) for m in _measured(rows, metrics)), "ms/frame", ("hull", "%")],
        "rows": _lines(comparison, name, column, metrics, _strong),
        "models": [called(row, comparison["models"][row]) for row in each],
        "pictures": [
            {
                **_place(picture),
                "name": picture + (f" ({DOUBT})" if picture in doubts else ""),
                "scores": _marked([f"{1e4 * mse:.2f}" for mse in errors], errors, _strong),
            }
            for picture in worst_first(comparison, name, column)
            for errors in [[scores[picture]["mse"] for scores in each.values()]]
        ],
    }


def _strong(text: str) -> dict[str, Any]:
    return {"text": text, "strong": True}


def worst_first(comparison: Comparison, name: str, column: str) -> list[str]:
    """The pictures of a benchmark: the ones on which the newest model errs most come first."""
    each = comparison["per_image"][name][column]
    newest = comparison["answers"][0]["new"] if comparison["answers"] else list(each)[-1]
    return sorted(each[newest], key=lambda picture: -each[newest][picture]["mse"])


def _card(comparison: Comparison, name: str, shown: Shown) -> dict[str, Any]:
    """A picture by all models, with the error of each."""
    column = "truth" if shown.known else "supervisor"
    each = comparison["per_image"][name][column]
    return {
        **_place(shown.picture),
        "doubt": DOUBT if shown.picture in comparison["doubts"].get(name, {}) else "",
        "reference": shown.reference,
        "what": "known truth" if shown.known else "supervisor's matte",
        "mattes": [(row, short(row), jpeg, mse_text(each[row][shown.picture]["mse"]))
                   for row, jpeg in shown.mattes.items()],
    }  # fmt: skip


def _choices(names: Iterable[str]) -> list[tuple[str, str]]:
    """Value and text of what a filter offers."""
    return [("", "all"), *((name, name) for name in sorted(set(names)))]


def _place(picture: str) -> dict[str, str]:
    take, camera, frame = picture.rsplit("/", 2) if picture.count("/") > 1 else (picture, "", "")
    return {"take": take, "camera": camera, "frame": frame}


def _marked(texts: Sequence[str], values: Sequence[float | None], strong: Callable[[str], Any]) -> list[Any]:
    """Texts of values, those of the lowest ones marked."""
    known = [value for value in values if value is not None]
    best = min(known) if len(known) > 1 else None
    return [
        strong(text) if value is not None and value == best else text
        for text, value in zip(texts, values, strict=True)
    ]


def _lines(
    comparison: Comparison, name: str, column: str, metrics: Sequence[Metric], strong: Callable[[str], Any]
) -> list[list[Any]]:
    """Per model its name, its means, the time of a frame and its hull score; `strong` marks the best of a column."""
    rows = comparison["scores"][name][column]
    columns: list[list[Any]] = [[called(row, comparison["models"][row]) for row in rows]]
    for metric in _measured(rows, metrics):
        means = [own[metric.key]["mean"] if metric.key in own else None for own in rows.values()]
        columns.append(_marked([_cell(own, metric) for own in rows.values()], means, strong))
    times = [comparison["latency"][name][row]["ms"] for row in rows]
    columns.append(_marked([decimals(ms, 1) for ms in times], times, strong))
    fits = [comparison["hull"][name].get(row, {}).get("score") for row in rows]
    columns.append(_marked([decimals(None if fit is None else 100 * fit, 2) for fit in fits], fits, strong))
    return [list(line) for line in zip(*columns, strict=True)]


def hull_text(hull: Mapping[str, Mapping[str, Any]], row: str) -> str:
    """The hull score of a row in per cent, or a dash.

    Args:
        hull: row -> `tasks.validate.measure.HullScore`, on one benchmark.
        row: which.
    """
    score = hull.get(row, {}).get("score")
    return MISSING if score is None else f"{100 * score:.2f}"


def _measured(rows: Rows, metrics: Sequence[Metric]) -> list[Metric]:
    return [metric for metric in metrics if any(metric.key in means for means in rows.values())]


def _cell(means: Mapping[str, Mean], metric: Metric) -> str:
    if metric.key not in means:
        return MISSING
    one = means[metric.key]
    text = f"{one['mean'] * metric.scale:.2f}"
    if one["interval"]:
        low, high = (edge * metric.scale for edge in one["interval"])
        text += f" ({low:.2f}–{high:.2f})"
    return text


def _count(rows: Rows) -> str:
    return counted(max((one["pictures"] for means in rows.values() for one in means.values()), default=0), "picture")


def _foot(comparison: Comparison, name: str) -> str:
    """What the times were measured on (once, if all are alike), what hull scores are, and why some are missing."""
    machines = {
        f"{one['size'][1]}x{one['size'][0]}, {one['hardware']}"
        + (f", {counted(one['threads'], 'thread')}" if one["device"] == "cpu" else "")
        for one in comparison["latency"][name].values()
    }
    lines = [f"Time of a frame: median of warm runs, without reading and writing; {'; '.join(sorted(machines))}."]
    if hull := comparison["hull"][name]:
        lines += ["Hull: share of the silhouettes that the other cameras' mattes of the same frame contradict."]
        lines += [f"{row} has none: {one['absent']}." for row, one in hull.items() if "absent" in one]
    return " ".join([*lines, *doubt_lines(comparison["doubts"].get(name, {}))])


def doubt_lines(doubts: Mapping[str, float]) -> list[str]:
    """A sentence for each picture of a benchmark on which its supervisor may be wrong, the most doubtful first."""
    return [
        f"{picture}: {DOUBT}; a second one differs by an MSE of {1e4 * doubts[picture]:.0f}e-4."
        for picture in sorted(doubts, key=lambda picture: -doubts[picture])
    ]


def _certainty(comparison: Comparison) -> str:
    from capmat_models.confidence import FEWEST

    means = [one for columns in comparison["scores"].values() for rows in columns.values() for one in rows.values()]
    few = any(one["interval"] is None for each in means for one in each.values())
    text = (f"In brackets: {100 * comparison['level']:.0f} % bootstrap intervals of the means over pictures. "
            "Lower is better everywhere.")  # fmt: skip
    return text + (f" Fewer than {FEWEST} pictures have none: they say too little about others." if few else "")


def _best(comparison: Comparison) -> str:
    """The model with the lowest MSE, in a sentence per benchmark and column."""
    sentences = []
    for name, columns in comparison["scores"].items():
        for column, rows in columns.items():
            best = min(rows, key=lambda row: rows[row]["mse"]["mean"])
            sentences.append(f"{name}, {TITLES[column]}: {best} has the lowest MSE.")
    return " ".join(sentences)
