"""Write the report of a run as one HTML file that opens anywhere: offline, in an email, in ten years.

Pictures are data URIs, charts are inline SVG, the style sheet is inline, there is no script and no link that
leaves the page; its own security policy forbids a browser to fetch anything. The report itself is data
(`report.json`), so that the page can be written again without running anything again.

`report.json` holds, every part but the title optional (what is missing is left out of the page):

    title, run, created   text
    benchmark             {row: {"mse", "sad", "grad"}} against ground truth; rows are teacher_base,
                          teacher_refined, student_base, student_refined; values are plain per-pixel means,
                          averaged over images (the page prints 1e-4, 1e-3 and 1e-5 of them, as Table 1 does)
    supervisor            the same against the supervisor's mattes (Sec. 4.4), the paper's own yardstick
    per_image             {row: {camera or image: mse}}, plain means
    reconstruction        {"backend": text, "held_out": [camera], "black": PSNR of an all-black image,
                          "base" and "refined": {"psnr", "psnr_own", "psnr_foreground", "collapsed"}}, dB
    promotion             {"teacher" and "student": {"decision": PROMOTE, HOLD or REJECT, "reasons": [text]}}
    history               {"teacher" and "student": [{"iteration", "loss", any other number}]}
    labels                {"set": name, "frames": how many have scribbles, "painted_share": 0..1 of them}
    wall_s                {step: seconds}, in the order in which the steps ran
    versions, hardware, config, store   dicts (nested as they like) or text, printed as they are
    notes                 [text] that a reader must know before believing a figure
    captions              {picture: text} for pictures with names of their own
"""

import base64
import html
from collections.abc import Mapping

from tasks.report.figures import Report, decisions, judges
from tasks.report.header import page_header
from tasks.report.inline_charts import history_keys, history_points, line_chart
from tasks.report.tables import accuracy_table, per_image_table, reconstruction_table, settings_list, time_table
from tasks.show.figures import decimals, number, significant
from tasks.show.page import ERROR_KEY, document

# Known pictures, in the order in which the page shows them, and the section each belongs to.
PICTURES = {
    "stage": ("pictures", "What the cameras saw: the image and the plate of the empty stage."),
    "teacher": ("pictures", f"Teacher, before and after the scribbles. {ERROR_KEY}"),
    "student": ("pictures", f"Student, before and after learning from the teacher. {ERROR_KEY}"),
    "scribbles": ("labels", "Scribbles over the faded image: green is foreground, red is background."),
    "teacher-training": ("training", "Teacher, before and after it was fine-tuned."),
    "student-training": ("training", "Student, before and after it was distilled."),
    "reconstruction": ("reconstruction", "Held-out cameras, rendered from the reconstruction."),
}


def render_page(report: Report, pictures: Mapping[str, bytes]) -> str:
    """Render a run's report.

    Args:
        report: the dict described in this module's docstring.
        pictures: JPEG files by name. `stage`, `teacher`, `student`, `scribbles` and `reconstruction` have
            their place and caption; any other stands after the pictures under its own name.

    Returns:
        A complete HTML document, UTF-8.
    """
    title = html.escape(str(report.get("title") or "capmat report"))
    sections = [
        ("accuracy", "Accuracy", _accuracy(report)),
        ("pictures", "Before and after", _pictures(report, pictures, "pictures")),
        ("images", "Image by image", per_image_table(report)),
        ("promotion", "Promotion", _promotion(report)),
        ("labels", "Scribbles", _labels(report, pictures)),
        ("training", "Training", _training(report, pictures)),
        ("reconstruction", "Reconstruction", _reconstruction(report, pictures)),
        ("time", "Wall time", time_table(report)),
        ("provenance", "How it was made", _provenance(report)),
        ("units", "Units", _units(report)),
    ]
    filled = [(name, heading, body) for name, heading, body in sections if body]
    links = "".join(f'<a href="#{name}">{heading}</a>' for name, heading, _ in filled)
    bodies = "".join(f'<section id="{n}"><h2>{heading}</h2>{body}</section>' for n, heading, body in filled)
    return document(title, f"{page_header(report, title)}<nav>{links}</nav>{bodies}")


def _accuracy(report: Report) -> str:
    table = accuracy_table(report)
    foot = '<p class="foot">Lower is better. × is refined ÷ base; below 1 the refined model errs less.</p>'
    return table + foot if table else ""


def _pictures(report: Report, pictures: Mapping[str, bytes], section: str) -> str:
    captions = report.get("captions") or {}
    known = [name for name, (where, _) in PICTURES.items() if where == section and name in pictures]
    other = [name for name in pictures if name not in PICTURES] if section == "pictures" else []
    figures = []
    for name in known + other:
        own = captions.get(name)
        caption = html.escape(str(own)) if own else PICTURES.get(name, ("", html.escape(name)))[1]
        data = base64.b64encode(pictures[name]).decode("ascii")
        figures.append(
            f'<figure><img alt="{html.escape(name)} contact sheet" src="data:image/jpeg;base64,{data}">'
            f"<figcaption>{caption}</figcaption></figure>"
        )
    return "".join(figures)


def _promotion(report: Report) -> str:
    cards = []
    for model, part in (report.get("promotion") or {}).items():
        if not part:
            continue
        reasons = "".join(f"<li>{html.escape(str(reason))}</li>" for reason in part.get("reasons") or [])
        word = decisions(report).get(model, "")
        tone = {"promoted": ' class="yes"', "rejected": ' class="worse"'}.get(word, "")
        decision = html.escape(word)
        cards.append(f"<div><h3>{html.escape(model.title())}<em{tone}>{decision}</em></h3><ul>{reasons}</ul></div>")
    return f'<div class="cards">{"".join(cards)}</div>' if cards else ""


def _labels(report: Report, pictures: Mapping[str, bytes]) -> str:
    labels = report.get("labels") or {}
    share = number(labels.get("painted_share"))
    facts = [
        f"Label set {html.escape(str(labels['set']))}" if labels.get("set") else "",
        f"{html.escape(str(labels['frames']))} frames" if labels.get("frames") is not None else "",
        f"{decimals(100 * share, 2)} % of their pixels painted" if share is not None else "",
    ]
    text = ", ".join(fact for fact in facts if fact)
    return (f"<p>{text}.</p>" if text else "") + _pictures(report, pictures, "labels")


def _training(report: Report, pictures: Mapping[str, bytes]) -> str:
    groups = []
    for model, records in (report.get("history") or {}).items():
        charts = []
        for key in history_keys(records or []):
            points = history_points(records, key)
            name = html.escape(key.replace("_", " "))
            span = f"{significant(points[0][1])} → <b>{significant(points[-1][1])}</b>"
            chart = line_chart(points, f"{model} {key} by iteration")
            charts.append(f"<figure><figcaption>{name}<span>{span}</span></figcaption>{chart}</figure>")
        if charts:
            groups.append(f'<h3>{html.escape(model.title())}</h3><div class="charts">{"".join(charts)}</div>')
    if any("stage_mse" in r for records in (report.get("history") or {}).values() for r in records or []):
        groups.append('<p class="foot">base: composites, stage: frames of the benchmark; both held out.</p>')
    return "".join(groups) + _pictures(report, pictures, "training")


def _reconstruction(report: Report, pictures: Mapping[str, bytes]) -> str:
    part = report.get("reconstruction") or {}
    facts = [
        f"Backend <b>{html.escape(str(part['backend']))}</b>" if part.get("backend") else "",
        f"cameras held out: {html.escape(', '.join(map(str, part['held_out'])))}" if part.get("held_out") else "",
    ]
    text = "; ".join(fact for fact in facts if fact)
    notes = (
        '<p class="foot">Common reference: both are judged against the image cut out with one and the same '
        "alpha. Own matte: each is judged against the image cut out with its own alpha, which flatters a "
        "matte that loses foreground; most likely what the paper printed. Foreground only: the "
        "common reference, counted inside the foreground alone.</p>"
    )
    table = reconstruction_table(report)
    intro = f"<p>{text}.</p>" if text else ""
    return intro + (table + notes if table else "") + _pictures(report, pictures, "reconstruction")


def _provenance(report: Report) -> str:
    parts = {
        "store": "Where things lie",
        "hardware": "Hardware",
        "versions": "Versions",
        "config": "Settings",
    }
    cards = []
    for key, heading in parts.items():
        value = report.get(key)
        listed = settings_list(value if isinstance(value, Mapping) else {key: value})
        if listed:
            cards.append(f'<div class="{key}"><h3>{heading}</h3>{listed}</div>')
    return f'<div class="cards facts">{"".join(cards)}</div>' if cards else ""


def _units(report: Report) -> str:
    lines = []
    if judges(report):
        lines += [
            "MSE: mean of (predicted − true alpha)² over all pixels of an image, printed in 10⁻⁴.",
            "SAD: mean of |predicted − true alpha| over all pixels, printed in 10⁻³. Table 1 of the paper "
            "can only be read as a mean; the sum over 1000 of the older literature is another number.",
            "Grad: mean of the squared difference of gradient magnitudes (Gaussian derivative, σ 1.4, not "
            "normalised), printed in 10⁻⁵.",
            "All three over the whole image at full resolution; every image weighs the same.",
        ]
    if (report.get("supervisor") or {}) and "supervisor" in judges(report):
        lines.append("Supervisor: trimap-guided diffusion matting on hand-drawn trimaps, the yardstick of Table 1.")
    if report.get("reconstruction"):
        lines.append("PSNR: 10 log₁₀(1 / MSE) of display-referred colour, mean over the held-out cameras, in dB.")
    return f'<ol class="foot">{"".join(f"<li>{line}</li>" for line in lines)}</ol>' if lines else ""
