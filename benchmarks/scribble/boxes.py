"""How many boxes a person gets through in a minute at the scribble page, with and without the preview: a model.

    python -m benchmarks.scribble.boxes          # some minutes; needs Chromium

Nobody was timed. A program works through the boxes that `capmat mine` finds in a take of the sample session, at the
real page in a headless Chromium. It knows the truth, and paints a short line on places in the box whose matte is off
by more than 0.3. With the preview it waits for it after each stroke and paints until nothing is left to see; blind it
gives each place that the stored matte shows one stroke, and goes on. What the page takes is measured. What the person
takes comes from the keystroke-level model of Card, Moran and Newell (1980): 1.35 s to look and decide, 0.28 s for a
key, 1.1 s to point, and 0.9 s + 0.16 s/cm for a straight line.
"""

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import label as pieces

from benchmarks.mining import prepared
from benchmarks.scribble.page import serve
from storage.labels.queue import Mined, read_queue
from storage.labels.trimaps import truth_of
from storage.store.root import Root
from storage.takes.take import Take
from tasks.labels.mine.queue import mine
from tasks.runtime.form import asked
from tasks.sim.hand import WRONG
from tests.flows.scribble.browser import Tab, browser
from tests.flows.scribble.hand import Hand, Point
from tests.flows.scribble.person import Person, lines

LOOK, KEY, POINT, LINE, PER_CM = 1.35, 0.28, 1.1, 0.9, 0.16
"""Seconds of the keystroke-level model."""
_CM = 2.54 / 96  # of a pixel of the window
_MOST = 6
Line = tuple[str, tuple[Point, Point]]


@dataclass
class Tally:
    """What working through the boxes took and gave; times in seconds, errors as sums over the pixels of a box."""

    opening: list[float] = field(default_factory=list)  # measured, for each box
    previewing: list[float] = field(default_factory=list)  # measured, for each stroke that was waited for
    acting: float = 0.0  # by the model
    before: float = 0.0
    after: float = 0.0
    strokes: int = 0
    fine: int = 0  # boxes in which nothing was wrong to the eye

    def row(self, name: str) -> str:
        """A line of the table."""
        took, gone = self.acting + sum(self.opening) + sum(self.previewing), self.before - self.after
        waits = f"{np.mean(self.opening):.2f} s | " + (
            f"{np.mean(self.previewing):.2f} s" if self.previewing else "-"
        )
        found = f"{len(self.opening)}, {self.fine} of them fine | {self.strokes} | {gone / self.before:.0%}"
        rates = f"{gone / self.strokes:.0f} | {60 * len(self.opening) / took:.1f} | {60 * gone / took:.0f}"
        return f"| {name} | {found} | {waits} | {rates} |"


def seconds(tab: Tab, script: str) -> float:
    """How long it takes until a piece of JavaScript is true."""
    began = time.monotonic()
    while not tab.ask(script):
        time.sleep(0.01)
    return time.monotonic() - began


def next_line(shown: NDArray[np.float32], true: NDArray[np.float32], item: Mined, drawn: list[Line]) -> Line | None:
    """A line on the largest place in a box that looks wrong and has no line of `drawn`; None where none is left."""
    x0, y0, x1, y1 = item.box
    inside = np.zeros(true.shape, bool)
    inside[y0:y1, x0:x1] = True
    places, count = pieces(inside & (np.abs(shown - true) > WRONG))
    for index in sorted(range(1, count + 1), key=lambda index: -(places == index).sum()):
        here = places == index
        if not any(here[int(y), int((start + stop) / 2)] for _, ((start, y), (stop, _)) in drawn):
            for found in lines(np.where(here, shown, true), true, item.box).items():
                return found
    return None


def work(person: Person, items: list[Mined], take: Take, truth: str, sees: bool) -> Tally:
    """Go through boxes, the first of which is open."""
    tab, tally = person.tab, Tally()
    for number, item in enumerate(items):
        if number:
            tab.press("n")
        at = ",".join(map(str, item.box))
        tally.opening.append(seconds(
            tab,
            f"new URLSearchParams(location.hash.slice(1)).get('box') === '{at}'"
            f" && document.querySelector('#name').textContent === '{item.camera} · frame {item.frame}'"
            " && document.querySelector('#stage').ariaBusy === 'false'",
        ))  # fmt: skip
        zoom = person.hand.zoomed()
        person.opened(item.camera, item.frame)
        stored, true = (
            take.read_alpha(item.run, item.camera, item.frame),
            truth_of(truth, take.name)(item.camera, item.frame),
        )
        if not number:
            person.align(stored)
        person.previewed()
        box = (slice(item.box[1], item.box[3]), slice(item.box[0], item.box[2]))
        shown = person.shown()
        tally.before += float(np.abs(shown - true)[box].sum())
        drawn: list[Line] = []
        while len(drawn) < _MOST and (
            line := next_line(shown if sees else stored, true, item, [] if sees else drawn)
        ):
            tally.acting += LOOK + KEY * (not drawn or drawn[-1][0] != line[0])
            tally.acting += POINT + LINE + PER_CM * _CM * zoom * (line[1][1][0] - line[1][0][0])
            tab.press(line[0][0])
            person.draw(line[1], "mouse")
            drawn.append(line)
            if sees:
                tally.previewing.append(seconds(tab, "document.querySelector('#preview').ariaBusy === 'false'"))
                shown = person.shown()
        person.previewed()
        tally.after += float(np.abs(person.shown() - true)[box].sum())
        tally.strokes += len(drawn)
        tally.fine += not drawn
        # blind, the last look found no other place; with the preview it sees that all is well; then a key goes on
        tally.acting += LOOK * (sees or not drawn) + KEY
    return tally


def main() -> None:
    """Run and print a table for docs/scribbling.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--take", default="cedar")
    parser.add_argument("--boxes", type=int, default=20)
    parser.add_argument(
        "--store", type=Path, default=Path(".capmat/benchmark-boxes"), help="strokes in it are deleted"
    )
    given = parser.parse_args()
    torch.set_num_threads(1)
    config = asked("capmat.toml", [f"store={given.store.absolute()}"])
    prepared(config, [given.take])
    mine(config.store, given.take, config, top=given.boxes)
    root = Root(config.store)
    take, items = Take.open(root, given.take), read_queue(root, given.take).items
    size = take.read_alpha(items[0].run, items[0].camera, items[0].frame).shape
    print("| | boxes | strokes | error in the boxes removed | opening a box | preview | removed per stroke "
          "| boxes per minute | removed per minute |\n" + "|---" * 9 + "|")  # fmt: skip
    for name, sees in (("with the preview", True), ("blind", False)):
        root.delete("drafts")
        process, link = serve(config.store)
        try:
            with TemporaryDirectory() as folder, browser(Path(folder)) as tab:
                tab.remember("capmat seen", "1")
                hand = Hand(tab, link, root)
                tab.open(link)
                tab.wait_for("document.querySelector('#name')?.textContent")
                tally = work(Person(hand, (size[0], size[1])), list(items), take, config.truth, sees)
                hand.saved()
        finally:
            process.terminate()
            process.wait()
        print(tally.row(f"{given.take}, {name}"), flush=True)
    root.delete("drafts")
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
