"""A headless Chromium without a network, driven over its DevTools pipe: no package is needed for that."""

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless=new",
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--hide-scrollbars",
    "--proxy-server=http://127.0.0.1:1",  # whatever the page asks for, nothing would get out
    "--remote-debugging-pipe",
)
CHUNK = 1 << 16


def find_chromium() -> str:
    """Returns the program; without one the test is skipped."""
    found = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if not found:
        pytest.skip("There is no Chromium; install it: apt-get install chromium")
    return found


class Browser:
    """A page in a browser: what it requests, what it logs, what it looks like.

    Args:
        folder: where the browser may keep its profile.
    """

    def __init__(self, folder: Path) -> None:
        program, self._number, self._rest = find_chromium(), 0, b""
        theirs_in, self._ours_out = os.pipe()
        self._ours_in, theirs_out = os.pipe()
        # Chromium reads from file descriptor 3 and writes to 4
        wiring = f'exec "$0" "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ["/bin/bash", "-c", wiring, program, *FLAGS, f"--user-data-dir={folder}", "about:blank"],
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.events: list[dict[str, Any]] = []
        self._session: str | None = None
        targets = self.send("Target.getTargets")["targetInfos"]
        target = next(one for one in targets if one["type"] == "page")
        self._session = self.send("Target.attachToTarget", targetId=target["targetId"], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Security"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and returns its result; events that come meanwhile are kept."""
        self._number += 1
        command = {"id": self._number, "method": method, "params": params}
        if self._session:
            command["sessionId"] = self._session
        os.write(self._ours_out, json.dumps(command).encode() + b"\0")
        while True:
            message = self._read()
            if message.get("id") == self._number:
                assert "error" not in message, (method, message["error"])
                result: dict[str, Any] = message["result"]
                return result
            self.events.append(message)

    def open(self, file: Path) -> None:
        """Opens a file, and waits until it is loaded."""
        self.events.clear()
        self.send("Page.navigate", url=file.absolute().as_uri())
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._read())
        self.settle()

    def settle(self) -> None:
        """Waits until the page has drawn what a change of its size or colours made it draw."""
        self.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))")

    def run(self, script: str) -> Any:
        """Returns the value of an expression in the page; a promise is awaited."""
        result = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def show(self, width: int, is_dark: bool = False, height: int = 900) -> None:
        """Sets the width of the window in pixels, and the colours that the reader prefers."""
        self.send(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 600
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if is_dark else "light"}
        self.send("Emulation.setEmulatedMedia", features=[scheme])
        self.settle()

    def press(self, key: str) -> None:
        """Presses a key: `Tab`, `Enter` or `Escape`."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27}[key]
        more = {"text": "\r"} if key == "Enter" else {}
        self.send("Input.dispatchKeyEvent", type="keyDown", key=key, code=key, windowsVirtualKeyCode=code, **more)
        self.send("Input.dispatchKeyEvent", type="keyUp", key=key, code=key, windowsVirtualKeyCode=code)

    def picture(self, width: int, height: int, scale: float = 1) -> bytes:
        """Returns the top of the page as PNG."""
        clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": scale}
        shot = self.send("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])

    def print(self) -> bytes:
        """Returns the page as PDF."""
        printed = self.send("Page.printToPDF", printBackground=True, paperWidth=8.27, paperHeight=11.7)
        return base64.b64decode(printed["data"])

    def requests(self) -> list[str]:
        """Returns what the page has requested, but for itself."""
        first, *others = (event["params"]["request"]["url"] for event in self._of("Network.requestWillBeSent"))
        assert first.startswith("file:")
        return others

    def complaints(self) -> list[str]:
        """Returns the errors and warnings that the page, or the browser about it, has logged."""
        logged = [event["params"]["entry"] for event in self._of("Log.entryAdded")]
        said = [event["params"] for event in self._of("Runtime.consoleAPICalled")]
        thrown = [event["params"]["exceptionDetails"]["text"] for event in self._of("Runtime.exceptionThrown")]
        return [
            *(entry["text"] for entry in logged if entry["level"] in ("error", "warning")),
            *(str(call["args"]) for call in said if call["type"] in ("error", "warning", "assert")),
            *thrown,
        ]

    def close(self) -> None:
        """Ends the browser."""
        self._session = None
        self.send("Browser.close")
        self._process.wait(30)
        os.close(self._ours_out)
        os.close(self._ours_in)

    def _of(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") == method]

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            chunk = os.read(self._ours_in, CHUNK)
            assert chunk, "the browser has ended"
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        parsed: dict[str, Any] = json.loads(message)
        return parsed
