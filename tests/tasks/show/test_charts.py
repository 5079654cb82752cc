"""Curves are valid SVG that stands alone, whatever the values."""

import re
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ImageFont

from tasks.show.charts import HEIGHT, WIDTH, curves_svg, intervals_svg

SVG = "{http://www.w3.org/2000/svg}"
values = st.floats(1e-12, 1e6)


@given(st.dictionaries(st.text(st.characters(blacklist_categories=("Cs", "Cc"))), st.lists(values, min_size=1)))
def test_every_line_is_drawn_inside_the_picture_and_named(lines):
    text = curves_svg({"MSE": {name: list(enumerate(ys)) for name, ys in lines.items()}})
    tree = ET.fromstring(text)
    drawn = [path for path in tree.iter(f"{SVG}path") if path.get("stroke-width") == "2"]
    assert len(drawn) == len(lines)
    for path in drawn:
        numbers = [float(x) for x in re.findall(r"[-\d.]+", path.attrib["d"])]
        assert all(0 <= x <= WIDTH for x in numbers[::2])
        assert all(0 <= y <= HEIGHT for y in numbers[1::2])
    texts = [text.text or "" for text in tree.iter(f"{SVG}text")]
    assert all(any(text.startswith(name) for text in texts) for name in lines)


@pytest.mark.parametrize("name", ["net", "a_published_network_with_a_name_that_is_long@v0012"])
def test_the_names_beside_intervals_are_not_cut_off(name: str) -> None:
    tree = ET.fromstring(intervals_svg({"MSE": {name: (1.0, (0.5, 2.0)), "b": (2.0, None)}}))
    width, font = float(tree.attrib["width"]), ImageFont.load_default(12)
    for text in tree.iter(f"{SVG}text"):
        x, long = float(text.attrib["x"]), font.getlength(text.text or "")
        shift = {"end": 1, "middle": 0.5}.get(text.get("text-anchor", ""), 0)
        assert x - shift * long >= 0
        assert x + (1 - shift) * long <= width


def test_a_value_that_a_logarithm_cannot_show_is_passed_over():
    text = curves_svg({"MSE": {"line": [(0, 0.0), (1, 0.5), (2, 0.25)]}, "nothing": {"none": [(0, 0.0)]}})
    assert "nothing" not in text
    assert text.count('stroke-width="2"') == 1


def test_lower_values_are_drawn_lower():
    tree = ET.fromstring(curves_svg({"MSE": {"line": [(0, 1.0), (10, 0.1)]}}))
    (line,) = (path for path in tree.iter(f"{SVG}path") if path.get("stroke-width") == "2")
    (x0, y0), (x1, y1) = re.findall(r"([\d.]+) ([\d.]+)", line.attrib["d"])
    assert float(x0) < float(x1)
    assert float(y0) < float(y1)
