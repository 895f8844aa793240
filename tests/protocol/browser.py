"""A headless Chromium, driven over a pipe by its DevTools protocol: no port, no driver."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
)
# Chromium reads commands from descriptor 3 and answers on 4.
LAUNCH = """
import fcntl, os, sys
reads, writes = (fcntl.fcntl(int(fd), fcntl.F_DUPFD, 10) for fd in sys.argv[1:3])
os.dup2(reads, 3)
os.dup2(writes, 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""
KEYS = {"Tab": 9, "Enter": 13, " ": 32}
TIMEOUT = 60.0


def find_browser() -> str | None:
    """Return the program, or None where there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def open_browser(program: str, profile: Path) -> Iterator[Browser]:
    """Start a browser with an empty profile, and end it."""
    (to_read, write), (read, to_write) = os.pipe(), os.pipe()
    command = [program, *FLAGS, f"--user-data-dir={profile}", "about:blank"]
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(to_read), str(to_write), *command],
        pass_fds=(to_read, to_write),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(to_read)
    os.close(to_write)
    try:
        yield Browser(read, write)
    finally:
        os.close(write)  # which ends it
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            process.wait()
        os.close(read)


class Browser:
    """One browser and its page.

    Attributes
    ----------
    events : list of dict
        Whatever the page reported since `open`.
    """

    def __init__(self, read: int, write: int) -> None:
        self._read, self._write = read, write
        self._rest, self._count, self._session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call a method and wait for its answer."""
        self._count += 1
        message = {"id": self._count, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        end = time.monotonic() + TIMEOUT
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._read], [], [], max(0.0, end - time.monotonic()))
            part = os.read(self._read, 1 << 20) if ready else b""
            assert part, "the browser does not answer"
            self._rest += part
        line, _, self._rest = self._rest.partition(b"\0")
        return dict(json.loads(line))

    def open(
        self, page: Path, *, width: int, height: int = 900, media: str = "", dark: bool = False
    ) -> None:
        """Open a page and wait until it has loaded."""
        phone = width < 600
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])
        self.call("Page.navigate", url="about:blank")
        self.events.clear()
        self.call("Page.navigate", url=page.as_uri())
        while not self.named("Page.loadEventFired"):
            self.events.append(self._next())
        self.run("document.fonts.ready")

    def named(self, name: str) -> list[dict[str, Any]]:
        """The events of a name, as far as they have been read."""
        return [event["params"] for event in self.events if event.get("method") == name]

    def run(self, script: str) -> Any:
        """Evaluate an expression in the page, as the debugger does, whatever the page allows."""
        answer = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, (script, answer["exceptionDetails"])
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        """Press and release a key."""
        what = {"key": key, "code": key if key != " " else "Space"}
        code = {"windowsVirtualKeyCode": KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key, "")
        down = {"type": "keyDown" if text else "rawKeyDown", "text": text}
        self.call("Input.dispatchKeyEvent", **what, **code, **down)
        self.call("Input.dispatchKeyEvent", type="keyUp", **what, **code)

    def click(self, selector: str) -> None:
        """Click on the middle of an element, where a mouse would, once it has been scrolled to."""
        x, y = self.run(
            f"new Promise((done) => {{ const e = document.querySelector({json.dumps(selector)});"
            " e.scrollIntoView({block: 'center', behavior: 'instant'});"
            " const there = () => { const r = e.getBoundingClientRect();"
            " done([r.x + r.width / 2, r.y + r.height / 2]); };"
            " requestAnimationFrame(() => requestAnimationFrame(there)); })"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def picture(self, path: Path, *, whole: bool = True) -> Path:
        """Save a picture of the page: all of it, or what is on the screen."""
        taken = self.call(
            "Page.captureScreenshot",
            captureBeyondViewport=whole,
            **({"clip": self._all()} if whole else {}),
        )
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    def _all(self) -> dict[str, float]:
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        # a picture of more than this is cut by the browser
        height = min(size["height"], 16_000)
        return {"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1}

    def pdf(self, path: Path) -> Path:
        """Print the page on A4."""
        paper = {"paperWidth": 8.27, "paperHeight": 11.69, "preferCSSPageSize": False}
        printed = self.call("Page.printToPDF", **paper)
        path.write_bytes(base64.b64decode(printed["data"]))
        return path
