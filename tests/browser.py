"""Debian's Chromium, driven by Playwright: what a test of a page may rely on."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Without the last ones, Chromium asks hosts of its own for things that nobody here wants.
_OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's Chromium; skip where there is none, fail where CI should have installed it."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        assert not os.environ.get("CI"), "Chromium is not installed"
        pytest.skip("needs Chromium: apt install chromium")
    from playwright.sync_api import expect, sync_playwright

    # A machine with more to do than draw a page is no fault of the page.
    expect.set_options(timeout=30_000)

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=list(_OPTIONS))
        try:
            yield browser
        finally:
            browser.close()
