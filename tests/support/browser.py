"""Chromium without a window: opens pages, and tells their errors, their requests and what axe-core finds."""

from __future__ import annotations

import base64
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.support.wait import WebDriverWait

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

_MISSING = not (CHROMIUM and DRIVER)

needs_browser = pytest.mark.skipif(
    _MISSING and os.environ.get("CI") != "true",
    reason="chromium or chromedriver is not installed (make debian installs them)",
)

AXE = Path(__file__).parent / "vendored" / "axe.min.js"

_RUN_AXE = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(found => done(found.violations), error => done(String(error)));
"""

_WITHOUT_NETWORK = ("data", "blob", "about", "file", "chrome", "chrome-untrusted")  # chrome: the page of a new tab
_INSIDE = ("localhost", "127.0.0.1", "::1")

_LOADS_S = 20.0
_LOADED = "return document.readyState === 'complete'"


@dataclass(frozen=True)
class Fault:
    """A rule of axe-core that the page breaks, and the parts of the page."""

    rule: str
    impact: str
    where: tuple[str, ...]


class Browser:
    """A browser with one page.  `errors` and `requests_outside` are of all pages since they were last asked."""

    def __init__(self, driver: Chrome) -> None:
        self.driver = driver

    def open(self, url: str) -> None:
        """Load the page, and return when it is complete."""
        self.driver.get(url)
        WebDriverWait(self.driver, _LOADS_S).until(lambda _: self.run(_LOADED))

    def open_file(self, path: Path) -> None:
        self.open(path.absolute().as_uri())

    def run(self, script: str) -> Any:
        """The value that the JavaScript `script` returns."""
        return self.driver.execute_script(script)

    def errors(self) -> list[str]:
        """What the console and the loader reported as a warning or worse: errors, blocked and missing resources."""
        return [one["message"] for one in self._log("browser") if one["level"] in ("SEVERE", "WARNING")]

    def requests_outside(self) -> list[str]:
        """The URLs that pages asked for beyond this machine.  A page may load files, data and loopback."""
        events = [json.loads(one["message"])["message"] for one in self._log("performance")]
        urls = [one["params"]["request"]["url"] for one in events if one["method"] == "Network.requestWillBeSent"]
        return [url for url in urls if not _is_inside(url)]

    def faults(self, worst: tuple[str, ...] = ("serious", "critical")) -> list[Fault]:
        """What axe-core finds of these impacts."""
        self.run(AXE.read_text(encoding="utf-8"))
        found = self.driver.execute_async_script(_RUN_AXE)
        assert isinstance(found, list), found
        return [
            Fault(one["id"], one["impact"], tuple(str(node["target"]) for node in one["nodes"]))
            for one in found
            if one["impact"] in worst
        ]

    def show_as(self, *, width: int = 1280, height: int = 900, dark: bool = False, printed: bool = False) -> None:
        """Set the size of the page in CSS pixels, and the media that it is shown on; a phone is below 500 wide."""
        self.command(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 500
        )
        self.command(
            "Emulation.setEmulatedMedia",
            media="print" if printed else "screen",
            features=[{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}],
        )

    def screenshot(self, path: Path) -> None:
        """Write the whole page as PNG, also what is below the window."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1}
        shot = self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        path.write_bytes(base64.b64decode(shot["data"]))

    def print_to(self, path: Path) -> None:
        """Write the page as PDF, as printing does."""
        path.write_bytes(base64.b64decode(self.command("Page.printToPDF", printBackground=True)["data"]))

    def _log(self, name: str) -> list[dict[str, Any]]:
        """What the driver logged since this was last called."""
        return list(self.driver.get_log(name))  # type: ignore[no-untyped-call]

    def command(self, name: str, **parameters: Any) -> Any:
        """Call a method of the DevTools protocol."""
        return self.driver.execute_cdp_cmd(name, parameters)


def _is_inside(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in _WITHOUT_NETWORK or (parts.hostname or "") in _INSIDE


@contextmanager
def browsing() -> Iterator[Browser]:
    """Start a browser with an empty profile; it ends with all its processes."""
    assert CHROMIUM, "chromium is not installed"
    assert DRIVER, "chromedriver is not installed"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        options = ChromeOptions()
        options.binary_location = CHROMIUM
        for flag in (*FLAGS, f"--user-data-dir={profile}"):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        driver = Chrome(options=options, service=ChromeService(DRIVER))
        try:
            driver.set_page_load_timeout(60)
            driver.set_script_timeout(60)
            yield Browser(driver)
        finally:
            driver.quit()
