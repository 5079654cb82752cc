"""The scribble page where answers come late, tabs are two and the program is away: no stroke vanishes or moves."""

import json

from tasks.labels.desk import finish_scribbles
from tests.flows.scribble.browser import Tab
from tests.flows.scribble.hand import Hand
from tests.flows.scribble.person import RENDERED

# Answers about a frame are held back until `window.free()` is called.
_HOLD = """(path => {
  const real = window.fetch, wait = new Promise((go) => (window.free = go));
  window.fetch = (asked, options) => asked === path && real(asked, options).then((answer) => {
    window.isHeld = true;
    return wait.then(() => answer);
  }) || real(asked, options);
})"""


def offline(tab: Tab, gone: bool) -> None:
    tab.call("Network.enable")
    tab.call("Network.emulateNetworkConditions", offline=gone, latency=0, downloadThroughput=-1, uploadThroughput=-1)


def test_a_frame_that_is_opened_again_while_its_stroke_is_saved_shows_the_stroke(hand: Hand) -> None:
    hand.open()
    hand.tab.ask(f"{_HOLD}('api/frame/walk/c00/4')")
    hand.tab.ask("document.querySelector('.item.here').click()")
    hand.tab.wait_for("window.isHeld")
    hand.draw((100.0, 100.0), (140.0, 100.0))
    hand.saved()
    hand.tab.ask("window.free()")
    hand.tab.settle()
    assert hand.count("fg") == 1
    hand.draw((100.0, 150.0), (140.0, 150.0))
    hand.saved()
    assert hand.count("fg") == len(hand.stored("c00", 4)) == 2


def test_strokes_stay_on_their_frame_if_another_is_opened_while_done_ends(hand: Hand) -> None:
    hand.open("c01", 5)
    hand.draw((30.0, 40.0), (60.0, 40.0))
    hand.saved()
    before = hand.stored("c01", 5)
    hand.go("c00", 4)
    hand.draw((100.0, 100.0), (140.0, 100.0))
    hand.saved()
    hand.tab.ask("document.querySelector('#done').click()")
    hand.tab.ask("document.querySelector('#finish-go').click()")
    hand.tab.wait_for("document.querySelector('#finish .big')?.textContent === 'Labels l0001'")
    hand.tab.ask(f"{_HOLD}('api/frame/walk/c00/4')")
    hand.tab.ask("document.querySelector('#finish-cancel').click()")
    hand.tab.wait_for("window.isHeld")
    hand.go("c01", 5)
    hand.tab.ask("window.free()")
    hand.tab.settle()
    hand.draw((200.0, 200.0), (240.0, 200.0))
    hand.saved()
    after = hand.stored("c01", 5)
    assert after[:-1] == before
    assert after[-1:] != hand.stored("c00", 4)


def test_of_two_tabs_at_one_frame_the_browser_keeps_the_strokes_of_both(hand: Hand) -> None:
    hand.open()
    with hand.tab.another() as tab:
        other = Hand(tab, hand.link, hand.root)
        other.open()
        for one in (hand, other):
            offline(one.tab, True)
        for n, one in enumerate((hand, other)):
            one.tab.call("Page.bringToFront")
            one.draw((100.0, 60.0 + 60 * n), (140.0, 60.0 + 60 * n))
            one.tab.wait_for("document.querySelector('#saved').textContent.includes('not sent')")
        assert hand.stored("c00", 4) == ()
        with hand.tab.another() as tab:  # as after a crash of both
            later = Hand(tab, hand.link, hand.root)
            later.open()
            later.saved()
        assert len(hand.stored("c00", 4)) == 2
        for one in (hand, other):
            offline(one.tab, False)
            one.saved()
    hand.tab.call("Page.bringToFront")
    assert len(hand.stored("c00", 4)) == 2
    assert hand.tab.ask("Object.keys(localStorage).filter((key) => key.includes('/'))") == []


def test_while_the_program_is_gone_another_take_is_not_opened_in_the_list_alone(hand: Hand) -> None:
    hand.open()
    offline(hand.tab, True)
    choose = (
        "(list => { list.value = %s; list.dispatchEvent(new Event('change')); })(document.querySelector('#take'))"
    )
    hand.tab.ask(choose % json.dumps(RENDERED))
    hand.tab.wait_for("document.querySelector('#trouble').textContent.includes('cannot be opened')")
    hand.draw((100.0, 100.0), (140.0, 100.0))
    assert hand.tab.ask("document.querySelector('#take').value") == "walk"
    assert hand.count("fg") == 1
    offline(hand.tab, False)
    hand.saved()


def test_a_page_of_an_ended_program_says_that_there_is_a_new_link(hand: Hand) -> None:
    hand.open()
    token = "localStorage['capmat token']"
    link = hand.tab.ask(token)
    hand.tab.call("Network.clearBrowserCookies")
    hand.tab.ask(f"{token} = 'of the program before'")
    hand.tab.press("n")
    said = "document.querySelector('#trouble').textContent"
    hand.tab.wait_for(f"{said}.includes('cannot be opened: the program was restarted; open its new link.')")
    hand.tab.ask(f"{token} = '{link}'")
    hand.tab.press("n")
    hand.tab.wait_for("document.querySelector('#name').textContent === 'c01 · frame 4'")


def test_a_stroke_that_somebody_made_a_label_meanwhile_cannot_be_undone(hand: Hand) -> None:
    hand.open()
    hand.draw((100.0, 100.0), (140.0, 100.0))
    hand.saved()
    finish_scribbles(hand.root.url, ["walk"])
    hand.tab.press("z", ctrl=True)
    hand.tab.wait_for(
        "document.querySelector('#undo').disabled && document.querySelector('.item.here .dot.fg + .n')?.textContent"
    )
    hand.saved()
    assert hand.count("fg") == len(hand.stored("c00", 4)) == 1
