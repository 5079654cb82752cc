"""The scribble page for everybody: by keyboard alone, read aloud, in small windows, and while the program is gone."""

import json
from importlib.resources import files
from typing import Any

import pytest

from tests.flows.scribble.hand import Hand

FRAME = ("c01", 7)
_AXE = "axe.run(document, {runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})"


def faults(hand: Hand) -> list[str]:
    """What axe-core finds against WCAG 2.1 A and AA, and its own best practice."""
    hand.tab.ask(files("axe_core_python").joinpath("axe.min.js").read_text())
    script = f"{_AXE}.then(({{ violations, passes }}) => JSON.stringify([violations, passes]))"
    answer = hand.tab.call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
    found: list[dict[str, Any]]
    found, passed = json.loads(answer["result"]["value"])
    assert {"color-contrast", "button-name", "select-name"} <= {one["id"] for one in passed}
    return [f"{one['id']}: {node['html']} {node['failureSummary']}" for one in found for node in one["nodes"]]


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_axe_finds_no_fault_in_either_colour_scheme(hand: Hand, scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    hand.tab.call("Emulation.setEmulatedMedia", features=features)
    hand.open(*FRAME)
    assert faults(hand) == []
    hand.tab.press("?")
    assert faults(hand) == []


def test_frames_views_and_brushes_are_chosen_by_keyboard_alone(hand: Hand) -> None:
    hand.open()
    hand.tab.ask("document.querySelector('#queue').focus()")
    hand.tab.press("ArrowDown")
    hand.tab.wait_for("document.querySelector('#name').textContent === 'c01 · frame 4'")
    active = "document.getElementById(document.activeElement.getAttribute('aria-activedescendant'))"
    assert hand.tab.ask(f"{active}.ariaSelected") == "true"
    hand.tab.press("Home")
    hand.tab.wait_for("document.querySelector('#name').textContent === 'c00 · frame 4'")
    for button, pressed in (("[data-brush=bg]", "true"), ("[data-view=alpha]", "true")):
        hand.tab.ask(f"document.querySelector('{button}').focus()")
        hand.tab.press(" ")
        assert hand.tab.ask(f"document.querySelector('{button}').ariaPressed") == pressed


def test_the_first_keys_do_not_become_a_name(hand: Hand) -> None:
    hand.open()
    hand.tab.ask("localStorage.removeItem('capmat seen')")
    hand.tab.ask("window.old = true; setTimeout(() => location.reload())")
    hand.tab.wait_for("!window.old && document.querySelector('#help')?.open")
    for key in "fbn":
        hand.tab.press(key)
    hand.tab.press(" ")  # closes it
    assert hand.tab.ask("[document.querySelector('#author').value, document.querySelector('#help').open]") == [
        "Mia",
        False,
    ]
    hand.tab.wait_for("document.querySelector('#name').textContent")
    hand.tab.press("b")
    assert hand.tab.ask("document.querySelector('[data-brush=bg]').ariaPressed") == "true"


@pytest.mark.parametrize(("width", "height"), [(900, 700), (1280, 720), (1400, 900), (2732, 2048)])
def test_everything_is_on_the_screen(hand: Hand, width: int, height: int) -> None:
    hand.resize(width, height)
    hand.open()
    outside = f"""[...document.querySelectorAll("#tools button, #foot button, #saved, #zoom, #look label")]
      .filter((one) => {{
        const {{ left, right, top, bottom, width }} = one.getBoundingClientRect();
        return width && (left < 0 || top < 0 || right > {width} || bottom > {height});
      }}).map((one) => one.outerHTML)"""
    assert hand.tab.ask(outside) == []
    assert hand.tab.ask("document.querySelector('#saved').getBoundingClientRect().width") > 20
    if width >= 1280:
        hand.tab.press("?")
        fits, high = hand.tab.ask(
            "(d => [d.scrollHeight <= d.clientHeight, d.getBoundingClientRect().height])"
            "(document.querySelector('#help'))"
        )
        assert fits
        assert high < height


def test_while_the_program_is_gone_strokes_stay_and_list_and_picture_agree(hand: Hand) -> None:
    hand.open(*FRAME)

    def offline(gone: bool) -> None:
        hand.tab.call("Network.enable")
        hand.tab.call(
            "Network.emulateNetworkConditions", offline=gone, latency=0, downloadThroughput=-1, uploadThroughput=-1
        )

    offline(True)
    hand.draw((100.0, 100.0), (140.0, 100.0))
    hand.tab.wait_for("document.querySelector('#trouble').textContent.includes('does not answer')")
    hand.tab.wait_for("document.querySelector('#saved').textContent.includes('not sent')")
    hand.tab.press("n")
    hand.tab.wait_for("document.querySelector('#trouble').textContent.includes('cannot be opened')")
    name = hand.tab.ask("document.querySelector('.item.here').dataset.name")
    assert name == "/".join(map(str, FRAME))
    assert hand.tab.ask("document.querySelector('#name').textContent") == "c01 · frame 7"
    assert hand.stored(*FRAME) == ()
    offline(False)
    hand.saved()
    hand.tab.wait_for("document.querySelector('#trouble').hidden")
    assert len(hand.stored(*FRAME)) == 1


def test_an_address_leads_to_its_frame_and_a_reload_returns(hand: Hand) -> None:
    hand.open(*FRAME)
    address = hand.tab.ask("location.href")
    assert "camera=c01&frame=7" in address
    hand.tab.ask("window.old = true; location.reload()")
    hand.tab.wait_for("!window.old && document.querySelector('#name')?.textContent === 'c01 · frame 7'")
    hand.tab.ask("location.hash = '#take=walk&camera=c00&frame=5'")
    hand.tab.wait_for("document.querySelector('#name')?.textContent === 'c00 · frame 5'")
