"""Tables of the report as HTML: accuracy, every image, reconstruction, wall time, settings.

One table holds both judges and the paper, because the reader's question is a comparison: is refined better
than base, do ground truth and supervisor agree on it, and is the step as large as the paper's.
"""

import html
from collections.abc import Mapping
from typing import Any

from tasks.report.figures import JUDGES, MODELS, PAPER, PAPER_PSNR, STATES, Report, judges, printed, psnr, wall_total
from tasks.report.inline_charts import bar, before_after
from tasks.show.figures import METRICS, MISSING, change, decimals, duration, number, ratio
from tasks.show.page import OPEN_UP_TO


def accuracy_table(report: Report) -> str:
    """Compare base with refined, by both judges, with the paper's rows beside; "" if unmeasured."""
    measured = judges(report)
    if not measured:
        return ""
    groups = "".join(
        f'<th colspan="3" scope="colgroup" class="group"><div>{JUDGES[judge]}</div></th>' for judge in measured
    )
    units = "".join(f'<th scope="col">{m.title}<small>{m.unit}</small></th>' for m in METRICS)
    head = (
        f'<thead><tr><td colspan="2"></td>{groups}'
        '<th colspan="4" scope="colgroup" class="group paper"><div>the paper, on its own stage'
        "<small>not comparable in absolute value</small></div></th></tr>"
        f'<tr><td colspan="2"></td>{units * len(measured)}'
        '<th class="paper name" scope="col">its name</th>'
        f"{units.replace('<th', '<th class=paper')}</tr></thead>"
    )
    bodies = [_model_rows(report, model, measured) for model in MODELS if _has_model(report, model, measured)]
    widths = ["8%", "9.5%", *["7.6%" if len(measured) == 2 else "10%"] * 3 * len(measured), "", *["6.5%"] * 3]
    columns = "".join(f'<col style="width:{w}">' if w else "<col>" for w in widths)
    return (
        f'<div class="scroll"><table class="accuracy"><colgroup>{columns}</colgroup>'
        f"{head}{''.join(bodies)}</table></div>"
    )


def _has_model(report: Report, model: str, measured: list[str]) -> bool:
    return any((report[judge] or {}).get(f"{model}_{state}") for judge in measured for state in STATES)


def _model_rows(report: Report, model: str, measured: list[str]) -> str:
    lines = []
    for i, state in enumerate(STATES):
        row = f"{model}_{state}"
        ours = "".join(
            f'<td class="{_edge(k)}">{decimals(printed(report, judge, row, m))}</td>'
            for judge in measured
            for k, m in enumerate(METRICS)
        )
        name, *values = PAPER[row]
        paper = "".join(f'<td class="paper">{decimals(value)}</td>' for value in values)
        first = f'<th rowspan="3" scope="rowgroup" class="model">{model.title()}</th>' if i == 0 else ""
        lines.append(
            f'<tr class="{state}">{first}<th scope="row">{state}</th>{ours}'
            f'<td class="paper name first">{name}</td>{paper}</tr>'
        )
    ratios = "".join(
        _ratio_cell(ratio(*(printed(report, judge, f"{model}_{s}", m) for s in STATES)), _edge(k))
        for judge in measured
        for k, m in enumerate(METRICS)
    )
    theirs = "".join(
        f'<td class="paper">× {decimals(ratio(b, r), 2)}</td>'
        for b, r in zip(PAPER[f"{model}_base"][1:], PAPER[f"{model}_refined"][1:], strict=True)
    )
    lines.append(
        f'<tr class="ratio"><th scope="row">refined ÷ base</th>{ratios}'
        f'<td class="paper name first"></td>{theirs}</tr>'
    )
    return f"<tbody>{''.join(lines)}</tbody>"


def _edge(column: int) -> str:
    return "first" if column == 0 else ""


def _ratio_cell(factor: float | None, css: str) -> str:
    if factor is None:
        return f'<td class="{css}">{MISSING}</td>'
    tone = "worse" if factor > 1 else "better"
    return f'<td class="{css} {tone}">× {decimals(factor, 2)}{"<i>▲</i>" if factor > 1 else ""}</td>'


def per_image_table(report: Report) -> str:
    """List the MSE of every benchmark image before and after, with one scale for all; "" if there is none."""
    errors: Mapping[str, Mapping[str, Any]] = report.get("per_image") or {}
    images = sorted({image for row in errors.values() for image in row or {}})
    models = [m for m in MODELS if any(errors.get(f"{m}_{state}") for state in STATES)]
    if not images or not models:
        return ""
    scale = METRICS[0].scale

    def value(row: str, image: str) -> float | None:
        plain = number((errors.get(row) or {}).get(image))
        return None if plain is None else plain * scale

    top = max(
        [v for m in models for s in STATES for i in images if (v := value(f"{m}_{s}", i)) is not None],
        default=0,
    )
    group = "".join(
        f'<th colspan="4" scope="colgroup" class="group"><div>{m.title()}, MSE {METRICS[0].unit}</div></th>'
        for m in models
    )
    columns = (
        '<th scope="col" class="first">base</th><th scope="col">refined</th><th scope="col">change</th>'
        f'<th scope="col" class="axis"><span>0</span><span>{decimals(top, 1)}</span></th>'
    ) * len(models)
    lines = []
    for image in images:
        cells = []
        for model in models:
            base, refined = (value(f"{model}_{state}", image) for state in STATES)
            tone = "worse" if (ratio(base, refined) or 0) > 1 else "better"
            cells.append(
                f'<td class="first">{decimals(base)}</td><td class="strong">{decimals(refined)}</td>'
                f'<td class="{tone}">{change(base, refined)}</td>'
                f'<td class="drawn">{before_after(base, refined, top)}</td>'
            )
        lines.append(f'<tr><th scope="row">{html.escape(str(image))}</th>{"".join(cells)}</tr>')
    opened = " open" if len(images) <= OPEN_UP_TO else ""
    return (
        f"<details{opened}><summary>{len(images)} image{'s' if len(images) > 1 else ''}; "
        "ring: base, dot: refined, orange: worse; one scale for both models</summary>"
        f'<div class="scroll"><table class="images"><thead><tr><td></td>{group}</tr>'
        f"<tr><td></td>{columns}</tr></thead><tbody>{''.join(lines)}</tbody></table></div></details>"
    )


def reconstruction_table(report: Report) -> str:
    """Show PSNR in dB from base and refined mattes, and what a black image scores; "" if none was made."""
    part = report.get("reconstruction") or {}
    if not part:
        return ""
    columns = (
        ("psnr", "common reference"),
        ("psnr_own", "own matte"),
        ("psnr_foreground", "foreground only"),
    )
    head = "".join(f'<th scope="col">{title}<small>dB</small></th>' for _, title in columns)
    lines = []
    for state in STATES:
        cells = "".join(f"<td>{decimals(psnr(report, state, key), 2)}</td>" for key, _ in columns)
        fate = "collapsed ▲" if (part.get(state) or {}).get("collapsed") else ""
        lines.append(
            f'<tr class="{state}"><th scope="row">{state} mattes</th>{cells}'
            f'<td class="worse">{fate}</td><td class="paper first">{decimals(PAPER_PSNR[state], 1)}</td></tr>'
        )
    gains = []
    for key, _ in columns:
        base, refined = (psnr(report, state, key) for state in STATES)
        known = base is not None and refined is not None
        gain = refined - base if base is not None and refined is not None else 0.0
        tone = ("better" if gain >= 0 else "worse") if known else ""
        gains.append(
            f'<td class="{tone}">{("+" if gain >= 0 else "") + decimals(gain, 2) if known else MISSING}</td>'
        )
    lines.append(
        f'<tr class="ratio"><th scope="row">gain</th>{"".join(gains)}<td></td><td class="paper first">'
        f"+{decimals(PAPER_PSNR['refined'] - PAPER_PSNR['base'], 1)}</td></tr>"
    )
    black = number(part.get("black"))
    if black is not None:
        lines.append(
            f'<tr class="ratio"><th scope="row">an all-black image</th><td>{decimals(black, 2)}</td>'
            '<td></td><td></td><td></td><td class="paper first"></td></tr>'
        )
    return (
        '<div class="scroll"><table class="reconstruction"><thead><tr><td></td>'
        f'{head}<td></td><th scope="col" class="paper">the paper<small>dB, its own stage</small></th>'
        "</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
    )


def time_table(report: Report) -> str:
    """Draw wall time per step, longest bar full width; "" if no step was timed."""
    steps = {str(k): s for k, v in (report.get("wall_s") or {}).items() if (s := number(v)) is not None}
    if not steps:
        return ""
    longest, total = max(steps.values()), wall_total(report) or 0.0
    lines = [
        f'<tr><th scope="row">{html.escape(step)}</th>'
        f'<td class="drawn">{bar(s / longest if longest > 0 else 0)}</td>'
        f"<td>{duration(s)}</td><td>{_share(s, total)}</td></tr>"
        for step, s in steps.items()
    ]
    lines.append(f'<tr class="ratio"><th scope="row">together</th><td></td><td>{duration(total)}</td><td></td></tr>')
    return f'<div class="scroll"><table class="time"><tbody>{"".join(lines)}</tbody></table></div>'


def _share(part: float, whole: float) -> str:
    percent = 100 * part / whole if whole > 0 else 0.0
    return "&lt; 1 %" if 0 < percent < 0.95 else f"{percent:.0f} %"


def settings_list(values: object) -> str:
    """Show a nested dict as a list of dotted names and values; "" when there is nothing in it."""
    pairs = _flat(values, "")
    if not pairs:
        return ""
    items = "".join(f"<div><dt>{html.escape(k)}</dt><dd>{html.escape(v)}</dd></div>" for k, v in pairs)
    return f"<dl>{items}</dl>"


def _flat(value: object, name: str) -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        inner = [_flat(v, f"{name}.{k}" if name else str(k)) for k, v in value.items()]
        return [pair for pairs in inner for pair in pairs]
    if isinstance(value, list | tuple):
        return [(name, ", ".join(map(str, value)) or MISSING)]
    return [] if value is None or value == "" else [(name, str(value))]
