"""A real Chromium without a window: what a person would see at an address."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

FOUND = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_LIMIT_S = 120


class Tab:
    """One page, steered through Chromium's debugging protocol."""

    def __init__(self, socket: Any) -> None:
        self._socket, self._count = socket, 0

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol, and its answer."""
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(_LIMIT_S))).get("id") != self._count:
            continue
        assert "error" not in answer, answer
        return dict(answer["result"])

    def remember(self, key: str, value: str) -> None:
        """Put something into the local storage of every page before its own scripts run."""
        source = f"localStorage.setItem({json.dumps(key)}, {json.dumps(value)})"
        self.call("Page.addScriptToEvaluateOnNewDocument", source=source)
        self.call("Page.enable")

    def open(self, url: str) -> None:
        """Go to an address."""
        self.call("Page.navigate", url=url)

    def ask(self, script: str) -> Any:
        """The value of a piece of JavaScript."""
        return self.call("Runtime.evaluate", expression=script, returnByValue=True)["result"].get("value")

    def wait_for(self, script: str) -> Any:
        """The same as soon as it is true."""
        until = time.monotonic() + _LIMIT_S

        def found_now() -> Any:
            try:
                return self.ask(script)
            except AssertionError as left:  # the page was left while it was asked
                if "navigated" in str(left):
                    return None
                raise

        while not (found := found_now()):
            assert time.monotonic() < until, f"{script} is not true; the page: {self.ask('document.body.innerText')}"
            time.sleep(0.3)
        return found

    def settle(self) -> None:
        """Wait until the picture has all of its tiles, and the window shows them."""
        self.wait_for("document.querySelector('#stage').ariaBusy === 'false'")
        shown = "new Promise((later) => requestAnimationFrame(() => requestAnimationFrame(later)))"
        self.call("Runtime.evaluate", expression=shown, awaitPromise=True)

    def press(self, key: str, *, ctrl: bool = False, shift: bool = False) -> None:
        """Press and release a key, by the name that a page sees: "n", "[", "Enter"."""
        modifiers = 2 * ctrl + 8 * shift
        text = key if len(key) == 1 and not ctrl else ""
        code = ord(key.upper()) if len(key) == 1 and key.isalnum() else 0
        known = {"key": key, "modifiers": modifiers, "windowsVirtualKeyCode": code}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", text=text, **known)
        self.call("Input.dispatchKeyEvent", type="keyUp", **known)

    def mouse(
        self, kind: str, x: float, y: float, button: str = "none", held: int = 0, *, shift: bool = False
    ) -> None:
        """One event: "mousePressed", "mouseMoved" or "mouseReleased", at a point of the window."""
        known: dict[str, Any] = {"button": button, "buttons": held, "modifiers": 8 * shift, "clickCount": 1}
        self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **known)

    def drag(self, points: Sequence[tuple[float, float]], *, button: str = "left", shift: bool = False) -> None:
        """Move the mouse to the first of some points of the window, press, move along the others, and let go."""
        held = {"left": 1, "right": 2, "middle": 4}[button]
        self.mouse("mouseMoved", *points[0])
        self.mouse("mousePressed", *points[0], button, held, shift=shift)
        for x, y in points[1:]:
            self.mouse("mouseMoved", x, y, button, held, shift=shift)
        self.mouse("mouseReleased", *points[-1], button, shift=shift)

    def wheel(self, x: float, y: float, delta: float, *, ctrl: bool = False) -> None:
        """Turn the mouse wheel at a point of the window."""
        self.call("Input.dispatchMouseEvent", type="mouseWheel", x=x, y=y, deltaX=0, deltaY=delta, modifiers=2 * ctrl)

    @contextmanager
    def another(self) -> "Iterator[Tab]":
        """A second tab of the same browser, in front of this one."""
        host, port = self._socket.remote_address[:2]
        id = self.call("Target.createTarget", url="about:blank")["targetId"]
        with connect(f"ws://{host}:{port}/devtools/page/{id}", max_size=None, proxy=None) as socket:
            yield Tab(socket)
        self.call("Target.closeTarget", targetId=id)

    def picture(self) -> bytes:
        """What the window shows, as PNG."""
        return base64.b64decode(self.call("Page.captureScreenshot")["data"])


@contextmanager
def browser(folder: Path, size: str = "1600,1200", *more: str) -> Iterator[Tab]:
    """A tab of a Chromium of its own.

    Args:
        folder: for what it keeps.
        size: of its window.
        *more: further options of its command line.
    """
    assert FOUND
    words = [FOUND, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    words += ["--disable-background-networking", f"--window-size={size}", f"--user-data-dir={folder}"]
    words += ["--remote-debugging-port=0", *more]
    process = subprocess.Popen([*words, "about:blank"], stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr
        port = next(line.split(":")[2].split("/")[0] for line in process.stderr if "DevTools listening" in line)
        yield from _first_tab(int(port))
    finally:
        process.terminate()
        process.wait(_LIMIT_S)


def _first_tab(port: int) -> Iterator[Tab]:
    import urllib.request

    with urllib.request.urlopen(f"http://127.0.0.1:{port}/json/list", timeout=_LIMIT_S) as answer:
        (page,) = [tab for tab in json.loads(answer.read()) if tab["type"] == "page"]
    with connect(page["webSocketDebuggerUrl"], max_size=None, proxy=None) as socket:
        yield Tab(socket)
