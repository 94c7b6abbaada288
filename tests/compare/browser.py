"""A headless Chromium driven by its own driver, both as installed on this machine; nothing is downloaded."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--force-device-scale-factor=1",
    "--hide-scrollbars",
)  # fmt: skip


def missing() -> str:
    """Return what the tests lack, "" when they can run."""
    if not any(map(shutil.which, BROWSERS)):
        return "no Chromium on this machine (Debian: apt-get install chromium chromium-driver)"
    return "" if shutil.which("chromedriver") else "no chromedriver on this machine (Debian: chromium-driver)"


@contextmanager
def browser(profile: Path, width: int, height: int) -> Iterator[webdriver.Chrome]:
    """Start a browser whose page is `width` x `height` px."""
    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, BROWSERS)))
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        yield driver
    finally:
        driver.quit()


def screenshot(png: bytes) -> np.ndarray:
    """Return a screenshot's pixels (H, W, 3)."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"))
