"""The paper's tables: ours beside the paper's, what is absent named with its reason, pictures that stand alone."""

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.config import Config, Paper
from tasks.report.paper.page import paper_page, sentence
from tasks.report.paper.pictures import make_charts
from tasks.report.paper.preset import PARTS
from tasks.report.paper.statements import judge_statements
from tasks.report.paper.tables import make_tables
from tasks.report.paper.text import markdown
from tasks.show.charts import DOTS_WIDTH, dots_svg

SVG = "{http://www.w3.org/2000/svg}"
CONFIG = Config(paper=Paper(shares=(0, 0.2, 1), noise=(0, 0.1), seeds=2))


def score(mse: float) -> dict[str, Any]:
    by = {"mse": mse, "sad": mse * 3, "grad": mse / 7}
    return {"supervisor": by, "truth": {name: value * 1.25 for name, value in by.items()}, "teacher": None}


SCORES = {
    name: score(mse)
    for name, mse in (
        *(("teacher base", 0.02), ("refined", 0.01), ("student base", 0.03)),
        *(("plain", 0.04), ("no_plate", 0.09), ("someones", 0.0333)),
        *(("scribbles_only 0", 0.05), ("frozen_refiner 0", 0.04), ("distilled 0", 0.015)),
        *(("scribbles_only 1", 0.05), ("frozen_refiner 1", 0.04), ("distilled 1", 0.016)),
        *(("share 0", 0.02), ("share 0.2", 0.01), ("share 1", 0.2)),
        *(("plates 0 0", 0.02), ("plates 0.5 0", 0.01)),
        *(("plain @0", 0.04), ("plain @0.1", 0.04), ("no_noise @0", 0.08), ("no_noise @0.1", 0.08)),
    )
}
SCORES["student base to teacher"] = {"teacher": score(0.02)["supervisor"]}
SCORES["distilled 0 to teacher"] = {"teacher": score(0.01)["supervisor"]}
FIELD = {"psnr": 25.0, "psnr_own": 26.0, "psnr_foreground": 14.0, "ssim": 0.9, "collapsed": False}
JUDGED = {"base": FIELD, "refined": {**FIELD, "psnr": 27.0}, "backend": "grid", "iterations": 9, "held_out": ["C03"],
          "black": 16.7}  # fmt: skip


@pytest.fixture
def report() -> dict[str, Any]:
    tables = make_tables(CONFIG, tuple(PARTS), SCORES, JUDGED)
    rest = {"hardware": {"cores": 2}, "versions": {"torch": "9"}, "config": {"seed": 977}}
    seconds = {"train refined": {"wall_s": 90.0, "cpu_s": 75.5}}
    head = {"title": "Invented", "created": "2026-01-02", "command": "capmat paper", "seconds": seconds}
    return {**head, **rest, "tables": tables, "statements": judge_statements(tables)}


def test_ours_stand_beside_the_papers_and_every_statement_is_judged(report: dict[str, Any]) -> None:
    text = markdown(report)
    (row,) = re.findall(r"\| Bg-ViTMatte \(Ours\) \|.*", text)
    assert [cell.strip() for cell in row.split("|")[2:-1]] == [
        *("100.00", "30.00", "142.86", "125.00", "37.50", "178.57", "4.98", "1.42", "3.98")
    ]
    assert sentence(report).startswith("12 of 12 statements hold here, 0 do not")
    assert "16.70 dB" in text


def test_a_method_that_cannot_be_had_is_named_with_the_reason(report: dict[str, Any]) -> None:
    rows = {row["title"]: row for row in report["tables"]["table1"]}
    for title in ("MODNet", "VideoMatte", "BiMatting", "BGM", "Bg-DAMNet", "Bg-DAMNet (da)"):
        assert rows[title]["by"] == {}
        assert rows[title]["paper"]["mse"] > 0
        assert "import" in rows[title]["note"]
    assert "its signs flip" in rows["BiMatting"]["note"]
    assert rows["someones"]["by"]["supervisor"]["mse"] == 0.0333  # a model of somebody's own has a row as well


def test_a_mean_of_seeds_says_what_each_was(report: dict[str, Any]) -> None:
    rows = {row["key"]: row for row in report["tables"]["table2"]}
    assert rows["distilled"]["by"]["supervisor"]["mse"] == pytest.approx(0.0155)
    assert "Knowledge distillation, MSE of each seed: supervisor 150.0, 160.0" in markdown(report)


def test_a_part_without_a_score_leaves_its_cells_empty() -> None:
    tables = make_tables(CONFIG, ["table2", "fig8"], {}, None)
    assert all(row["by"] == {} for rows in tables.values() for row in rows)
    assert make_charts(tables) == {}


def test_the_page_holds_every_part_and_fetches_nothing(report: dict[str, Any]) -> None:
    charts = make_charts(report["tables"])
    assert set(charts) == set(PARTS)
    page = paper_page(report, charts, {"fig5": b"\xff\xd8"})
    assert page.count("data:image/svg+xml") == len(PARTS)
    assert "data:image/jpeg" in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "1 min 30 s" in page


def test_figures_are_drawn_where_they_belong(report: dict[str, Any]) -> None:
    tree = ET.fromstring(make_charts(report["tables"])["fig6"])
    (line, *_) = (path.attrib["d"] for path in tree.iter(f"{SVG}path") if path.get("stroke-width") == "2")
    xs, ys = zip(*((float(x), float(y)) for x, y in re.findall(r"([\d.]+) ([\d.]+)", line)), strict=True)
    assert (xs[1] - xs[0]) / (xs[2] - xs[0]) == pytest.approx(0.2, abs=0.01)
    assert ys[2] < ys[0] < ys[1]  # down is lower


values = st.just(0.0) | st.floats(1e-12, 1e6)
names = st.text(st.characters(blacklist_categories=("Cs", "Cc")))


@given(st.lists(st.tuples(names, st.dictionaries(st.sampled_from(["a", "b"]), values)), max_size=5))
def test_dots_lie_inside_their_picture_whatever_the_values(rows: list[tuple[str, dict[str, float]]]) -> None:
    tree = ET.fromstring(dots_svg("title <&>", ["a", "b"], rows))
    height = float(tree.attrib["height"])
    for dot in tree.iter(f"{SVG}circle"):
        assert 0 <= float(dot.attrib["cx"]) <= DOTS_WIDTH
        assert 0 <= float(dot.attrib["cy"]) <= height
    assert "".join(tree.itertext()).count("not run") >= sum(
        not any(v > 0 for v in values.values()) for _, values in rows
    )
