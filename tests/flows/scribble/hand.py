"""A person at the scribble page: a mouse, a pen and fingers, in pixels of the frame, which is shown as a whole."""

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from storage.labels.drafts import read_draft
from storage.labels.raster import BACKGROUND, FOREGROUND, OPEN
from storage.labels.strokes import Stroke
from storage.store.root import Root
from tests.flows.scribble.browser import Tab

HEIGHT, WIDTH = 300, 420
Point = tuple[float, float]
_SEEN = f"""const canvas = document.querySelector("#ink"), [h, w] = [{HEIGHT}, {WIDTH}];"""
_SEEN += """
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const { clientWidth, clientHeight } = document.querySelector("#stage");
  const zoom = 0.96 * Math.min(clientWidth / w, clientHeight / h);  // around the middle of a larger canvas
  let seen = "";
  for (let y = 0; y < h; y++) for (let x = 0; x < w; x++) {
    const place = (v, side, all) => Math.floor((v + 0.5 - side / 2) * zoom + all / 2);
    const at = 4 * (place(y, h, canvas.height) * canvas.width + place(x, w, canvas.width));
    seen += data[at + 3] < 128 ? "." : data[at + 1] > data[at] ? "f" : "b";
  }
  return /[fb]/.test(seen) && seen;
"""


class Hand:
    """Draws on the page.

    Args:
        tab: of the browser.
        link: of the page.
        root: the store that the page shows.
    """

    def __init__(self, tab: Tab, link: str, root: Root) -> None:
        self.tab, self.link, self.root = tab, link, root
        self.clock = time.time()  # what events of pen and fingers say, however slow the machine is
        self.resize(1600, 1000)

    def resize(self, width: int, height: int) -> None:
        """Give the window a size, whatever bars the browser shows and takes away."""
        self.tab.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )

    def open(self, camera: str = "c00", frame: int = 4) -> None:
        """Load the page and go to a frame."""
        self.tab.ask("window.old = true")
        self.tab.open(self.link)
        self.tab.wait_for("!window.old && document.querySelector('#name')?.textContent === 'c00 · frame 4'")
        if self.tab.ask(
            "(help => { const was = help.open; help.close(); return was })(document.querySelector('#help'))"
        ):
            self.tab.wait_for("document.activeElement.id === 'stage'")  # the page's answer to the closed help
        if (camera, frame) != ("c00", 4):
            self.go(camera, frame)
        self.measure()

    def go(self, camera: str, frame: int) -> None:
        """Open any frame of the take."""
        self.tab.ask(
            f"document.querySelector('#jump-camera').value = '{camera}';"
            f"document.querySelector('#jump-frame').value = {frame};"
            "document.querySelector('#jump button').click()"
        )
        self.tab.wait_for(f"document.querySelector('#name').textContent === '{camera} · frame {frame}'")

    def measure(self) -> None:
        """Find out where the picture lies, shown as a whole."""
        left, top, wide, high = self.tab.ask(
            "(r => [r.left, r.top, r.width, r.height])(document.querySelector('#stage').getBoundingClientRect())"
        )
        self.zoom = 0.96 * min(wide / WIDTH, high / HEIGHT)
        self.left, self.top = left + wide / 2, top + high / 2

    def at(self, point: Point) -> Point:
        """Where a point of the frame is in the window."""
        return self.left + (point[0] - WIDTH / 2) * self.zoom, self.top + (point[1] - HEIGHT / 2) * self.zoom

    def draw(self, *points: Point, shift: bool = False) -> None:
        """Draw with the mouse."""
        self.tab.drag([self.at(point) for point in points], shift=shift)

    def pen(self, points: Sequence[Point], force: Sequence[float]) -> None:
        """Draw with a pen that is pressed so much at each point, 0..1."""
        places = [self.at(point) for point in points]

        def event(kind: str, at: Point, pressed: float) -> None:
            known: dict[str, Any] = {"pointerType": "pen", "force": pressed, "button": "left", "clickCount": 1}
            known |= {"type": kind, "x": at[0], "y": at[1], "buttons": int(pressed > 0), "timestamp": self._tick()}
            self.tab.call("Input.dispatchMouseEvent", **known)

        event("mousePressed", places[0], force[0])
        for place, pressed in zip(places[1:], force[1:], strict=True):
            event("mouseMoved", place, pressed)
        event("mouseReleased", places[-1], 0)

    def touch(self, kind: str, *points: Point, radius: float = 4) -> None:
        """An event of fingers ("Start", "Move", "End", "Cancel") and where all of them are then."""
        places = [dict(zip("xy", self.at(p), strict=True)) for p in points]
        fingers = [{**at, "id": n, "radiusX": radius, "radiusY": radius} for n, at in enumerate(places)]
        self.tab.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=fingers, timestamp=self._tick())

    def rest(self) -> None:
        """Wait so long after the pen that a finger is no resting hand."""
        time.sleep(0.6)
        self.clock = max(self.clock, time.time())

    def _tick(self) -> float:
        self.clock += 0.03
        return self.clock

    def count(self, label: str) -> int:
        """How many strokes the list says that the open frame has."""
        script = f"document.querySelector('.item.here .dot.{label} + .n')?.textContent || '0'"
        return int(self.tab.ask(script))

    def saved(self) -> None:
        """Wait until the page says that the store has all strokes."""
        self.tab.wait_for("document.querySelector('#saved').textContent === 'Saved'")

    def stored(self, camera: str, frame: int) -> tuple[Stroke, ...]:
        """What the store has of a frame."""
        draft = read_draft(self.root, "walk", camera, frame)
        return draft.drawing.strokes if draft else ()

    def seen_label(self) -> NDArray[np.uint8]:
        """The label that the strokes on the screen show; (H, W) of 0 background, 1 foreground, 255 open."""
        values = {"f": FOREGROUND, "b": BACKGROUND, ".": OPEN}
        seen = self.tab.wait_for(f"(() => {{ {_SEEN} }})()")
        return np.array([values[letter] for letter in seen], np.uint8).reshape(HEIGHT, WIDTH)

    def zoomed(self) -> float:
        """How many pixels of the window a pixel of the frame takes."""
        return int(self.tab.ask("document.querySelector('#zoom').textContent").split()[0]) / 100
