"""The reports in a real browser: on a desk and on a phone, by day and by night, nothing fetched, nothing cut off."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tasks.show.figures import METRICS
from tasks.show.sheet import to_jpeg
from tasks.validate.answer import answers
from tasks.validate.page import Shown, render_validation
from tests.flows.scribble.browser import FOUND, Tab, browser
from tests.tasks.show.test_page import night, paper, stage

pytestmark = pytest.mark.skipif(FOUND is None, reason="there is no Chromium")

LONG = "a_recording_with_a_name_that_is_longer_than_a_phone_is_wide-0001"
BENCH = "gold@b0001"
PICTURES = ("amber/C01/1", "amber/C02/1", "birch/C01/7")


def flat(value: int) -> bytes:
    return to_jpeg(np.full((240, 320, 3), value, np.uint8))


def comparison() -> str:
    """Two students on three pictures; the newer one, grey 200, is better on all."""
    models = {row: {"model": {"name": "net", "version": version}, "role": "student", "run": row}
              for row, version in (("champion", "v0001"), ("challenger", "v0002"))}  # fmt: skip
    mse = {"champion": (0.02, 0.04, 0.03), "challenger": (0.01, 0.03, 0.02)}
    each = {row: {picture: {"mse": one} for picture, one in zip(PICTURES, mse[row], strict=True)} for row in models}
    mean = {row: {"mse": {"mean": sum(mse[row]) / 3, "interval": None, "pictures": 3}} for row in models}
    time = {"ms": 1.0, "size": (2, 3), "hardware": "a machine", "device": "cpu", "threads": 1}
    scores = {BENCH: {"supervisor": each}}
    doubts = {BENCH: {"birch/C01/7": 0.01}}
    found: dict[str, Any] = {
        "models": models,
        "answers": answers(models, scores, doubts),
        "scores": {BENCH: {"supervisor": mean}},
        "per_image": scores,
        "latency": {BENCH: dict.fromkeys(models, time)},
        "hull": {BENCH: {}},
        "doubts": doubts,
        "benchmarks": {BENCH: {"supervisors": ["closed_form@v0001"]}},
        **{"level": 0.95, "created": "2026-01-02", "store": LONG},
    }
    mattes = {"champion": flat(50), "challenger": flat(200)}
    shown = [Shown(picture, mattes, flat(120), known=False) for picture in sorted(PICTURES, key=PICTURES.index)]
    sheets = {f"{BENCH} {row}": flat(90) for row in models}
    return render_validation(found, METRICS, {f"{BENCH} supervisor": "<svg/>"}, sheets, {BENCH: shown})


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    with browser(tmp_path_factory.mktemp("chromium")) as tab:
        yield tab


def look(tab: Tab, file: Path, width: int, theme: str) -> None:
    tab.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
    tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
    tab.open(file.as_uri())
    tab.wait_for(f"document.readyState === 'complete' && location.href.startsWith('{file.as_uri()}')")


def brightness(tab: Tab) -> int:
    colour = tab.ask("getComputedStyle(document.body).backgroundColor")
    return max(int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(","))


@pytest.mark.parametrize(
    "report", [night, paper, stage, lambda _: comparison()], ids=["night", "paper", "stage", "validate"]
)
def test_a_report_fits_desk_and_phone_in_both_themes_and_fetches_nothing(
    tab: Tab, tmp_path: Path, report: Any
) -> None:
    file = tmp_path / "report.html"
    file.write_text(report(LONG), encoding="utf-8")
    for width, theme in ((1400, "light"), (420, "dark")):
        look(tab, file, width, theme)
        assert tab.ask("document.documentElement.scrollWidth") <= width
        assert brightness(tab) > 240 if theme == "light" else brightness(tab) < 40
        fetched = (
            "performance.getEntriesByType('resource').map(one => one.name).filter(name => !name.startsWith('data:'))"
        )
        assert tab.ask(fetched) == []


def test_the_slider_shows_one_model_left_and_the_other_right_of_it(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(comparison(), encoding="utf-8")
    look(tab, file, 1400, "light")
    tab.ask("document.querySelector('.compare').scrollIntoView({block: 'center'})")
    assert greys(tab) == pytest.approx((50, 200), abs=3)  # in the middle at first
    put(tab, ".compare input", "5")
    assert greys(tab) == pytest.approx((200, 200), abs=3)
    put(tab, ".compare input", "95")
    assert greys(tab) == pytest.approx((50, 50), abs=3)
    put(tab, "#before", "challenger")
    assert greys(tab) == pytest.approx((200, 200), abs=3)


def put(tab: Tab, control: str, value: str) -> None:
    """Move a slider or choose from a list."""
    one = f"document.querySelector({control!r})"
    tab.ask(f"{one}.value = {value!r}; {one}.dispatchEvent(new Event('input', {{bubbles: true}}))")


def greys(tab: Tab) -> tuple[int, int]:
    """What a person sees at a quarter and at three quarters of the first picture's width."""
    box = "document.querySelector('.compare .before img').getBoundingClientRect()"
    left, top, width, height = (tab.ask(f"{box}.{side}") for side in ("left", "top", "width", "height"))
    window = Image.open(BytesIO(tab.picture())).convert("L")
    row = int(top + height / 2)
    return window.getpixel((int(left + width / 4), row)), window.getpixel((int(left + 3 * width / 4), row))


def test_the_filter_leaves_pictures_and_rows_of_a_take_and_a_camera(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(comparison(), encoding="utf-8")
    look(tab, file, 1400, "light")
    seen = "[...document.querySelectorAll('{}')].filter(one => one.checkVisibility()).map(one => one.innerText)"
    assert len(tab.ask(seen.format(".pair h4"))) == 3
    put(tab, "#camera", "C01")
    assert tab.ask(seen.format(".pair h4")) == ["amber C01 1", "birch C01 7 the supervisor may be wrong here"]
    put(tab, "#take", "birch")
    assert len(tab.ask(seen.format(".pair h4"))) == 1
    assert [line.split()[0] for line in tab.ask(seen.format("tr[data-take]"))] == ["birch/C01/7"]


def test_a_picture_opens_large_and_closes_without_a_script(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(night("walk"), encoding="utf-8")
    look(tab, file, 1400, "light")
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    before = tab.ask("document.querySelector('.large img').getBoundingClientRect().width")
    tab.ask("document.querySelector('.large > a').click()")
    assert tab.ask("document.querySelector('.large img').getBoundingClientRect().width") >= max(1300, before)
    tab.ask("document.querySelector('.large > .close').click()")
    assert tab.ask("document.querySelector('.large img').getBoundingClientRect().width") == before
    tab.call("Emulation.setScriptExecutionDisabled", value=False)


def test_no_other_script_than_the_page_s_own_may_run(tab: Tab, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    evil = "<script>document.title = 'evil'</script><img src=x onerror=\"document.title = 'evil'\">"
    file.write_text(comparison().replace("<main>", f"<main>{evil}"), encoding="utf-8")
    look(tab, file, 1400, "light")
    assert tab.ask("document.documentElement.className") == "scripted"  # its own has run
    assert tab.ask("document.title") == "Models on benchmarks"
