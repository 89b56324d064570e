"""Headless Chromium, driven over two pipes in its own protocol: nothing to install but itself.

https://chromedevtools.github.io/devtools-protocol/; messages are JSON, each ended by a zero byte.
"""

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE = 60.0
"""Seconds to wait for an answer: a first start on a busy machine takes several."""

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--disable-dev-shm-usage", "--hide-scrollbars", "--remote-debugging-pipe"),
)
# The protocol wants file descriptors 3 and 4. This small step puts them there.
LAUNCH = """
import fcntl, os, sys
away = [fcntl.fcntl(int(at), fcntl.F_DUPFD, 10) for at in sys.argv[1:3]]
os.dup2(away[0], 3)
os.dup2(away[1], 4)
os.execvp(sys.argv[3], sys.argv[3:])
"""


def program() -> str | None:
    """Return where Chromium is, None where it is not installed."""
    named = os.environ.get("EQUIPOISE_CHROMIUM")
    found = (shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome"))
    return named or next((path for path in found if path), None)


class Page:
    """One tab. `events` are all that it reported, in order."""

    def __init__(self, read: int, write: int) -> None:
        self.events: list[dict[str, Any]] = []
        self._read, self._write = read, write
        self._buffer, self._last, self._session = b"", 0, ""
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        attached = self.send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> Any:
        """Return the answer to one command; RuntimeError where it failed."""
        self._last += 1
        message = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            came = self._receive()
            if came.get("id") == self._last:
                if "error" in came:
                    raise RuntimeError(f"{method}: {came['error']['message']}")
                return came["result"]

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._buffer:
            if not select.select([self._read], [], [], PATIENCE)[0]:
                raise TimeoutError("no answer from Chromium")
            part = os.read(self._read, 1 << 20)
            if not part:
                raise RuntimeError("Chromium has ended")
            self._buffer += part
        line, self._buffer = self._buffer.split(b"\0", 1)
        came = json.loads(line)
        if "method" in came:
            self.events.append(came)
        return came

    def wait(self, method: str) -> None:
        """Wait for an event that has not come yet."""
        while self._receive().get("method") != method:
            pass

    def open(self, path: Path, width: int = 1280, height: int = 900, script: bool = True) -> None:
        """Show a file in a window of this size, until it has loaded."""
        self.size(width, height)
        self.send("Emulation.setScriptExecutionDisabled", value=not script)
        self.events.clear()
        self.send("Page.navigate", url=path.as_uri())
        if not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.wait("Page.loadEventFired")

    def size(self, width: int, height: int) -> None:
        """Set the window's size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.send("Emulation.setDeviceMetricsOverride", **size)

    def run(self, expression: str) -> Any:
        """Return the value of a JavaScript expression; RuntimeError where it throws."""
        said = self.send(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in said:
            raise RuntimeError(str(said["exceptionDetails"]))
        return said["result"].get("value")

    def press(self, key: str) -> None:
        """Press and let go of one key."""
        codes = {"Tab": 9, "Enter": 13, "Escape": 27, "Home": 36, "ArrowRight": 39, "ArrowLeft": 37}
        text = {"Enter": "\r"}.get(key, key if len(key) == 1 else "")
        code = codes.get(key, 0)
        more = {"text": text} if text else {}
        for kind in ("keyDown", "keyUp"):
            self.send(
                "Input.dispatchKeyEvent",
                type=kind,
                key=key,
                windowsVirtualKeyCode=code,
                **(more if kind == "keyDown" else {}),
            )

    def mouse(self, kind: str, x: float, y: float, held: bool = False) -> None:
        """Send one event of the mouse: mouseMoved, mousePressed or mouseReleased."""
        button = "left" if held or kind != "mouseMoved" else "none"
        more = {"button": button, "buttons": int(held), "clickCount": 1}
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def picture(self) -> str:
        """Return the whole page as PNG, in base 64."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        return str(shot["data"])

    def printed(self) -> str:
        """Return the page as PDF, in base 64."""
        more = {"printBackground": False, "preferCSSPageSize": True}
        return str(self.send("Page.printToPDF", **more)["data"])


@contextmanager
def chromium(profile: Path) -> Iterator[Page]:
    """Give a tab of a Chromium that uses an empty folder, and end it afterwards."""
    found = program()
    if found is None:
        raise FileNotFoundError("no Chromium is installed")
    (from_us, to_it), (from_it, to_us) = os.pipe(), os.pipe()
    command = [sys.executable, "-c", LAUNCH, str(from_us), str(to_us), found]
    command += [*FLAGS, f"--user-data-dir={profile}"]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        command, pass_fds=(from_us, to_us), stdout=quiet, stderr=quiet
    ) as process:
        os.close(from_us)
        os.close(to_us)
        try:
            yield Page(from_it, to_it)
        finally:
            os.close(to_it)
            os.close(from_it)
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
