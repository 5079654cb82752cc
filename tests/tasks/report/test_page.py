"""What the report promises: one file, nothing fetched, every figure printed, no name able to break it."""

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tasks.report.figures import PAPER
from tasks.report.inline_charts import history_points, line_chart
from tasks.report.page import PICTURES, render_page
from tasks.report.summary import markdown_table, summary_lines, verdict
from tasks.show.figures import METRICS, change, decimals, duration, significant
from tasks.show.sheet import to_jpeg

VOID = {"meta", "img", "col", "br", "hr", "link", "input"}


def rows(*mse):
    names = ("teacher_base", "teacher_refined", "student_base", "student_refined")
    return {n: {"mse": m * 1e-4, "sad": m * 0.3e-3, "grad": m * 0.7e-5} for n, m in zip(names, mse, strict=True)}


REPORT = {
    "title": "Invented figures",
    "run": "run-17",
    "created": "2026-01-02 03:04 UTC",
    "versions": {"capmat": "0.1.0", "torch": "9.8.7"},
    "hardware": {"cpu": "2 cores", "gpu": "none"},
    "config": {"teacher": {"iterations": 431, "lr": 5e-05}, "seed": 977},
    "benchmark": rows(9.111, 5.022, 22.313, 8.774),
    "supervisor": rows(8.915, 5.416, 21.717, 9.218),
    "per_image": {
        "teacher_base": {"camA": 7.123e-4, "camB": 3.217e-4},
        "teacher_refined": {"camA": 6.341e-4, "camB": 2.456e-4},
        "student_base": {"camA": 31.571e-4, "camB": 12.687e-4},
        "student_refined": {"camA": 11.793e-4, "camB": 13.801e-4},
    },
    "reconstruction": {
        "backend": "cpu-voxel-grid (not Instant-NGP)",
        "base": {"psnr": 27.41, "psnr_own": 28.02, "psnr_foreground": 19.93, "collapsed": False},
        "refined": {"psnr": 30.66, "psnr_own": 31.45, "psnr_foreground": 23.21, "collapsed": False},
        "black": 22.55,
        "held_out": ["cam31", "cam32"],
    },
    "promotion": {
        "teacher": {"decision": "PROMOTE", "reasons": ["squared error fell"]},
        "student": {"decision": "HOLD", "reasons": ["camB got worse"]},
    },
    "history": {
        "teacher": [{"iteration": i, "loss": 1 / (i + 1), "lr": 1e-4} for i in range(600)],
        "student": [{"iteration": 5, "loss": 0.25}],
    },
    "labels": {"set": "walk-v3", "frames": 41, "painted_share": 0.0231},
    "wall_s": {"ingest": 4.2, "teacher": 412.3},
    "store": {"root": "/data/store", "mattes": "takes/walk/alpha"},
    "notes": ["Every figure here is invented."],
}
JPEG = to_jpeg(np.full((8, 12, 3), 90, np.uint8))


class Page(HTMLParser):
    """Reads a page strictly: every element that opens must close, in order."""

    def __init__(self, page):
        super().__init__()
        self.stack, self.attributes, self.tags, self.ids, self.text = [], [], [], [], ""
        self.feed(page)
        self.close()
        assert self.stack == []
        self.text = " ".join(self.text.replace("\xa0", " ").split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.stack[-1:]):
            self.text += data + " "


@pytest.fixture(scope="module")
def page():
    return render_page(REPORT, {"teacher": JPEG, "scribbles": JPEG, "reconstruction": JPEG, "odd name": JPEG})


def test_the_page_is_one_well_formed_document(page):
    assert page.startswith("<!doctype html>")
    assert Page(page).tags[0] == "html"


def test_the_page_fetches_nothing_and_runs_nothing(page):
    read = Page(page)
    assert "script" not in read.tags
    assert "link" not in read.tags
    for name, value in read.attributes:
        assert name not in {"srcset", "action", "onload", "onclick"}
        if name == "src":
            assert value.startswith("data:image/jpeg;base64,")
        if name == "href":
            assert value[0] == "#"
            assert value[1:] in read.ids
    assert not re.search(r"https?:|url\(|@import", page)


def test_every_accuracy_figure_is_printed_in_the_units_of_table_1(page):
    text = Page(page).text
    for judge in ("benchmark", "supervisor"):
        for values in REPORT[judge].values():
            for metric in METRICS:
                assert decimals(values[metric.key] * metric.scale) in text
    for name, *values in PAPER.values():
        assert name in text
        assert all(decimals(value) in text for value in values)
    assert "not comparable in absolute value" in text


def test_every_other_figure_and_name_is_printed(page):
    text = Page(page).text
    errors = [v for row in REPORT["per_image"].values() for v in row.values()]
    recon = REPORT["reconstruction"]
    decibels = [v for s in ("base", "refined") for k, v in recon[s].items() if k != "collapsed"] + [recon["black"]]
    expected = [decimals(1e4 * v) for v in errors] + [decimals(v, 2) for v in decibels]
    expected += [duration(v) for v in REPORT["wall_s"].values()] + list(REPORT["wall_s"])
    expected += [
        "30.5",
        "33.5",
        "camA",
        "camB",
        "cam31, cam32",
        recon["backend"],
        "walk-v3",
        "41 frames",
        "2.31 %",
    ]
    expected += ["run-17", "2026-01-02 03:04 UTC", "9.8.7", "2 cores", "teacher.iterations", "431", "977"]
    expected += [
        "/data/store",
        "takes/walk/alpha",
        *REPORT["notes"],
        "squared error fell",
        "held back",
    ]
    expected += ["odd name", significant(REPORT["history"]["teacher"][-1]["loss"]), duration(416.5)]
    assert [e for e in expected if e not in text] == []


def test_pictures_are_inside_the_page_unchanged(page):
    sources = [value for name, value in Page(page).attributes if name == "src"]
    assert [base64.b64decode(s.split(",")[1]) for s in sources] == [JPEG] * 4


def test_the_report_can_be_rendered_again_from_its_json(page):
    pictures = {"teacher": JPEG, "scribbles": JPEG, "reconstruction": JPEG, "odd name": JPEG}
    assert render_page(json.loads(json.dumps(REPORT)), pictures) == page


@settings(max_examples=40, deadline=None)
@given(st.sets(st.sampled_from(sorted(REPORT))), st.booleans())
def test_missing_parts_are_left_out_and_the_rest_stands(missing, empty):
    report = {k: v for k, v in REPORT.items() if k not in missing}
    if empty:
        report |= dict.fromkeys(missing)
    read = Page(render_page(report, {}))
    assert ("accuracy" in read.ids) == bool({"benchmark", "supervisor"} - missing)
    for part, section in (("per_image", "images"), ("wall_s", "time"), ("history", "training")):
        assert (section in read.ids) == (part not in missing)
    assert summary_lines(report)
    assert markdown_table(report)


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1) | st.just("<script>&\"'</td>"))
def test_no_name_can_break_the_page(name):
    report = REPORT | {
        "title": name,
        "run": name,
        "per_image": {"student_base": {name: 1e-4}},
        "promotion": {name: {"decision": name, "reasons": [name]}},
        "history": {name: [{"iteration": 0, name: 1.0}]},
        "labels": {"set": name, "frames": 1},
        "wall_s": {name: 1.0},
        "config": {name: {name: name}},
        "store": name,
        "notes": [name],
        "captions": {name: name},
    }
    read = Page(render_page(report, {name: JPEG}))
    assert "script" not in read.tags
    assert " ".join(name.replace("\xa0", " ").split()) in read.text


def test_what_got_worse_is_said_and_marked():
    report = {"title": "t", "benchmark": rows(5.0, 5.0, 8.0, 10.0)}
    text = Page(render_page(report, {})).text
    assert verdict(report) == (
        "Refinement raised the student’s squared error by 25 % but left the teacher’s where it was, "
        "measured against ground truth."
    )
    assert "▲" in text
    assert "+25 %" in text
    assert "▲" not in Page(render_page({"title": "t", "benchmark": rows(5, 4, 8, 7)}, {})).text


def test_the_verdict_names_both_models_the_judge_and_the_decisions():
    assert verdict(REPORT) == (
        "Refinement cut the student’s squared error by 61 % and the teacher’s by 45 %, measured against "
        "ground truth. The reconstruction gained 3.2 dB. Teacher: promoted. Student: held back."
    )
    assert verdict({"title": "t"}) == "Nothing was measured in this run."


def test_a_collapsed_reconstruction_is_never_reported_as_a_gain_alone():
    broken = REPORT["reconstruction"] | {"base": {"psnr": 22.5, "collapsed": True}}
    assert "from base mattes collapsed" in verdict({"reconstruction": broken})
    assert "collapsed ▲" in Page(render_page({"reconstruction": broken}, {})).text


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), "n/a"])
def test_a_figure_that_is_not_a_number_prints_as_a_dash(value):
    report = {
        "title": "t",
        "benchmark": rows(9, 5, 22, 8) | {"student_refined": {"mse": value, "sad": 0.001}},
    }
    text = Page(render_page(report, {})).text
    assert "nan" not in text
    assert "inf" not in text
    assert "–" in text
    assert "the teacher’s" in verdict(report)
    assert "student" not in verdict(report)


def test_the_terminal_gets_plain_figures_in_few_lines():
    lines = summary_lines(REPORT)
    assert len(lines) <= 8
    assert all(line.isascii() and "\n" not in line for line in lines)
    assert "MSE 22.313 -> 8.774 1e-4" in "\n".join(lines)
    assert "27.41 -> 30.66 dB" in "\n".join(lines)


def test_the_markdown_table_has_as_many_cells_in_every_line():
    table = [line for line in markdown_table(REPORT).splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(PAPER)
    assert {line.count("|") for line in table} == {11}


@settings(max_examples=60, deadline=None)
@example([1.0, 2.2250738585e-313])
@example([5e-324])
@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=700))
def test_a_curve_of_any_values_stays_inside_its_frame(values):
    points = history_points([{"iteration": i, "loss": v} for i, v in enumerate(values)], "loss")
    svg = line_chart(points, "loss")
    path = re.search(r'class="line" d="M([^"]+)"', svg).group(1)
    xy = np.array([[float(n) for n in pair.split()] for pair in path.split("L")])
    assert ((xy >= -0.1) & (xy <= [264.1, 130.1])).all()
    assert len(xy) <= 240


def test_figures_are_written_as_a_person_reads_them():
    assert [duration(s) for s in (0.04, 59.96, 192, 3899)] == [
        "0.0 s",
        "1 min 00 s",
        "3 min 12 s",
        "1 h 05 min",
    ]
    assert [significant(v) for v in (0, 0.02261, 2.5e-05, 3990, -2e-7)] == [
        "0",
        "0.02261",
        "2.5·10⁻⁵",
        "3990",
        "−2·10⁻⁷",
    ]
    assert [change(20.694, 8.054), change(8, 10), change(5, 5), change(0, 1)] == [
        "−61 %",
        "+25 %",
        "±0 %",
        "",
    ]


def test_the_pictures_of_a_training_stand_beside_its_curves():
    history = {"teacher": [{"iteration": 0, "stage": "validation", "stage_mse": 0.02, "base_mse": 0.01}]}
    text = render_page({"title": "t", "history": history}, {"teacher-training": JPEG})
    section = text.split('<section id="training">')[1].split("</section>")[0]
    assert "data:image/jpeg;base64," in section
    assert "stage mse" in section
    assert "both held out" in section
    assert "both held out" not in render_page({"title": "t", "history": REPORT["history"]}, {})


def test_known_pictures_have_names_that_prefect_takes_as_keys():
    assert all(re.fullmatch("[a-z0-9-]+", name) for name in PICTURES)
