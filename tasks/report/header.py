"""The top of the report: what ran, the outcome in a sentence, the few figures that matter.

A technical director reads this and perhaps nothing else, so what a reader must know before believing a figure
(the notes) stands here too and not at the end.
"""

import html

from tasks.report.figures import JUDGES, STATES, Report, judges, printed, psnr, wall_total
from tasks.report.summary import verdict
from tasks.show.figures import METRICS, change, decimals, duration, number, ratio


def page_header(report: Report, title: str) -> str:
    """Render title, verdict, tiles and notes.

    Args:
        report: the report dict (schema in `tasks.report.page`).
        title: already escaped.
    """
    facts = [f"run {report['run']}" if report.get("run") else "", str(report.get("created") or "")]
    meta = "".join(f"<span>{html.escape(fact)}</span>" for fact in facts if fact)
    notes = "".join(f"<li>{html.escape(str(note))}</li>" for note in report.get("notes") or [])
    return (
        f'<header><p class="meta">{meta}</p><h1>{title}</h1>'
        f'<p class="verdict">{_unbroken(verdict(report))}</p>'
        f'<div class="tiles">{"".join(_tiles(report))}</div>'
        f"{f'<ul class=notes>{notes}</ul>' if notes else ''}</header>"
    )


def _unbroken(text: str) -> str:
    """Escape, and keep a unit on the line of its figure."""
    return html.escape(text).replace(" %", "&nbsp;%").replace(" dB", "&nbsp;dB")


def _tiles(report: Report) -> list[str]:
    """Make the few figures that matter: squared error of both models, reconstruction, human effort, time."""
    tiles = []
    mse, measured = METRICS[0], judges(report)
    for model in ("student", "teacher") if measured else ():
        before, after = (printed(report, measured[0], f"{model}_{state}", mse) for state in STATES)
        if before is not None or after is not None:
            worse = (ratio(before, after) or 0) > 1
            figure = f"{_was(decimals(before, 2))}<b>{decimals(after, 2)}</b>"
            foot = f"{mse.unit} {JUDGES[measured[0]]}"
            tiles.append(_tile(f"{model.title()} MSE", figure, foot, change(before, after), worse))
    base, refined = (psnr(report, state) for state in STATES)
    if base is not None or refined is not None:
        gain = None if base is None or refined is None else refined - base
        chip = "" if gain is None else f"{'+' if gain >= 0 else ''}{decimals(gain, 1)} dB"
        figure = f"{_was(decimals(base, 1))}<b>{decimals(refined, 1)}</b>"
        tiles.append(_tile("Reconstruction", figure, "PSNR, dB; higher is better", chip, (gain or 0) < 0))
    labels = report.get("labels") or {}
    frames, share = labels.get("frames"), number(labels.get("painted_share"))
    if frames is not None:
        foot = f"{decimals(100 * share, 1)} % of their pixels painted" if share is not None else "by hand"
        tiles.append(_tile("Frames scribbled", f"<b>{html.escape(str(frames))}</b>", foot))
    total = wall_total(report)
    if total is not None:
        tiles.append(_tile("Wall time", f"<b>{duration(total)}</b>", "all steps together"))
    return tiles


def _was(text: str) -> str:
    return f"<s>{text}</s><i>→</i>"


def _tile(label: str, figure: str, foot: str, chip: str = "", worse: bool = False) -> str:
    tone = "worse" if worse else "better"
    mark = f'<em class="{tone}">{chip}{" ▲" if worse else ""}</em>' if chip else ""
    head = f"<h3>{label}{mark}</h3>"
    return f'<div class="tile">{head}<p class="figure">{figure}</p><p class="foot">{foot}</p></div>'
