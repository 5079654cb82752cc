"""The scribble page in a real browser: what is drawn is what is seen, what is stored, and what becomes labels."""

import json

import httpx
import numpy as np

from storage.labels.drafts import read_draft
from storage.labels.freeze import freeze_labels
from storage.labels.label_set import LABELS, LabelSet
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN, rasterise
from tasks.labels.desk import finish_scribbles
from tests.flows.scribble.hand import HEIGHT, WIDTH, Hand


def test_what_is_drawn_is_seen_is_stored_and_becomes_labels(hand: Hand) -> None:
    tab, root, link = hand.tab, hand.root, hand.link
    hand.open()
    for _ in range(9):
        tab.press("]")
    subject = [(60.0, 80.0), (100.0, 90.0), (140.0, 130.0), (150.0, 180.0)]
    hand.draw(*subject)
    tab.press("b")
    hand.draw((300.0, 60.0), (350.0, 70.0), (380.0, 200.0), shift=True)
    tab.press("e")
    hand.draw((100.0, 60.0), (100.0, 120.0))
    tab.press("f")
    hand.draw((20.0, 250.0), (500.0, 250.0))  # over the edge
    hand.draw((200.0, 20.0), (210.0, 30.0))
    assert (hand.count("fg"), hand.count("bg")) == (3, 1)
    tab.press("z", ctrl=True)
    tab.press("z", ctrl=True)
    assert hand.count("fg") == 1
    tab.press("z", ctrl=True, shift=True)
    assert hand.count("fg") == 2
    hand.saved()

    hand.open()  # again, as a reload does
    assert (hand.count("fg"), hand.count("bg")) == (2, 1)
    draft = read_draft(root, "walk", "c00", 4)
    assert draft
    drawn = draft.drawing.strokes
    assert [stroke.label for stroke in drawn] == ["fg", "bg", "erase", "fg"]
    assert {stroke.author for stroke in drawn} == {"Mia"}
    assert all(min(np.hypot(x - a, y - b) for a, b in drawn[0].points) < 0.5 for x, y in subject)
    assert len(drawn[1].points) == 2  # shift makes it straight
    assert np.abs(np.array(drawn[1].points) - [(300, 60), (380, 200)]).max() < 0.5
    label = rasterise(drawn, (HEIGHT, WIDTH))
    assert {BACKGROUND, FOREGROUND, OPEN} == set(np.unique(label))
    assert (hand.seen_label() == label).mean() > 0.995  # a screen pixel's width at the edges

    # Somebody else paints on the same frame; both sets of strokes survive.
    token = link.rpartition("=")[2]
    address = link.partition("?")[0] + "api/strokes/walk/c00/4"
    theirs = {"label": "bg", "radius": 5.0, "points": [[40.0, 20.0]], "author": "Ben", "time": ""}
    document = {"capmat": "strokes", "schema": 1, "take": "walk", "camera": "c00", "frame": 4}
    ours = [
        {"label": s.label, "radius": s.radius, "points": s.points, "author": s.author, "time": s.time} for s in drawn
    ]
    body = {**document, "width": WIDTH, "height": HEIGHT, "strokes": [*ours, theirs]}
    params = {"after": draft.revision}
    answer = httpx.put(address, params=params, json=body, headers={"x-capmat-token": token}, trust_env=False)
    assert answer.status_code == 200
    hand.draw((240.0, 100.0), (240.0, 140.0))
    hand.saved()
    assert (hand.count("fg"), hand.count("bg")) == (3, 2)
    tab.press("n")
    tab.wait_for("document.querySelector('#name').textContent === 'c01 · frame 4'")

    # The store takes nothing for a while; the page says so, keeps the stroke and tries again.
    root.write("drafts/walk/c01", b"in the way")
    tab.press("f")
    hand.draw((150.0, 100.0), (160.0, 110.0))
    tab.wait_for("document.querySelector('#trouble').textContent.includes('this browser keeps the strokes')")
    root.delete("drafts/walk/c01")
    hand.saved()

    tab.ask("document.querySelector('#done').click()")
    tab.ask("document.querySelector('#finish-go').click()")
    tab.wait_for("document.querySelector('#finish .big')?.textContent === 'Labels l0001'")
    tab.ask("document.querySelector('#finish-cancel').click()")

    # What an earlier page could not send is sent by the next one, although another frame is open.
    left = json.dumps({"base": [], "strokes": [theirs]})
    tab.ask(f"localStorage.setItem('capmat walk/c01/5', {json.dumps(left)})")
    hand.open()
    tab.wait_for("localStorage.getItem('capmat walk/c01/5') === null")
    assert (recovered := read_draft(root, "walk", "c01", 5))
    assert recovered.drawing.authors == ["Ben"]
    labels = LabelSet.open(root, LABELS)
    assert labels.keys == [("walk", "c00", 4), ("walk", "c01", 4)]
    draft = read_draft(root, "walk", "c00", 4)
    assert draft
    assert [stroke.author for stroke in draft.drawing.strokes] == ["Mia"] * 4 + ["Ben", "Mia"]
    assert np.array_equal(labels.label("walk", "c00", 4), rasterise(draft.drawing.strokes, (HEIGHT, WIDTH)))


def test_labels_that_came_as_pixels_are_shown_and_strokes_paint_over_them(hand: Hand) -> None:
    frame = ("c00", 7)
    label = np.full((HEIGHT, WIDTH), OPEN, np.uint8)
    label[40:120, 60:200] = FOREGROUND
    label[150:260, 220:400] = BACKGROUND
    freeze_labels(hand.root, LABELS, [("walk", *frame, label)])
    hand.open(*frame)
    hand.tab.settle()
    assert (hand.seen_label() == label).mean() > 0.995
    assert hand.count("fg") == 0
    for _ in range(9):
        hand.tab.press("]")
    hand.tab.press("e")
    hand.draw((80.0, 80.0), (180.0, 80.0))
    hand.tab.press("f")
    hand.draw((240.0, 200.0), (380.0, 200.0))
    hand.saved()
    drawn = rasterise(hand.stored(*frame), (HEIGHT, WIDTH), below=label)
    assert (drawn != label).mean() > 0.05
    assert (hand.seen_label() == drawn).mean() > 0.99
    finish_scribbles(hand.root.url, ["walk"])
    assert np.array_equal(LabelSet.open(hand.root, LABELS).label("walk", *frame), drawn)
    hand.open(*frame)  # the strokes are part of the pixels now
    hand.tab.settle()
    assert (hand.seen_label() == drawn).mean() > 0.99
