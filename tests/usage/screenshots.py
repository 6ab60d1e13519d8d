"""Takes the pictures of usage in docs/screenshots: `python -m tests.usage.screenshots`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.harness import ADMIN_PASSWORD, BASE_DIR, GatewayServer

FOLDER = BASE_DIR / "docs" / "screenshots"
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
QUIET = ["--disable-gpu", "--disable-background-networking", "--no-first-run", "--hide-scrollbars"]
# What each house has had: its days, its calls, its keys.
HOUSES = {"empty": (0, 0, 0), "week": (7, 12_000, 12), "year": (365, 60_000, 40)}
# The pictures of each house: the period, the window, the colours.
PICTURES = {
    "empty": [("week", "desk", "light"), ("week", "desk", "dark"), ("week", "phone", "light")],
    "week": [("week", "desk", "light"), ("week", "desk", "dark"), ("week", "phone", "light"), ("day", "desk", "light")],
    "year": [
        ("year", "desk", "light"),
        ("year", "desk", "dark"),
        ("year", "phone", "light"),
        ("year", "phone", "dark"),
    ],
}


def fill(server: GatewayServer, days: int, records: int, keys: int) -> None:
    """Gives a house its past."""
    if records:
        subprocess.run(
            [sys.executable, "-m", "tests.usage.fill", f"--days={days}", f"--records={records}", f"--keys={keys}"],
            cwd=BASE_DIR,
            env={**server.environment(), "DJANGO_SETTINGS_MODULE": "gateway.settings"},
            check=True,
        )


def shoot(browser: Browser, server: GatewayServer, house: str) -> None:
    """Takes a house's pictures."""
    for period, window, colours in PICTURES[house]:
        context = browser.new_context(viewport=DESK if window == "desk" else PHONE, color_scheme=colours)  # type: ignore[arg-type] # one of two words
        page = context.new_page()
        page.goto(f"{server.url}/admin/login/?next=/admin/")
        page.fill("input[name=username]", "admin")
        page.fill("input[name=password]", ADMIN_PASSWORD)
        page.press("input[name=password]", "Enter")
        page.wait_for_url("**/admin/")
        page.goto(f"{server.url}/admin/?period={period}", wait_until="networkidle")
        name = f"usage-{house}-{period}-{window}-{colours}.png"
        page.screenshot(path=FOLDER / name, full_page=True)
        if not page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"):
            print(f"{name} is too wide", file=sys.stderr)  # noqa: T201 -- for whoever takes them
        if (house, window, colours) == ("week", "desk", "light") and period == "week":
            page.locator(".usage-lists a").first.click()
            page.wait_for_load_state("networkidle")
            page.screenshot(path=FOLDER / "usage-key-desk-light.png", full_page=True)
        context.close()


def main() -> None:
    """Takes them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=[*QUIET, *root])
        for house, (days, records, keys) in HOUSES.items():
            with GatewayServer(ollama_url="http://127.0.0.1:9") as server:
                fill(server, days, records, keys)
                shoot(browser, server, house)
        browser.close()
    for path in sorted(Path(FOLDER).glob("usage-*.png")):
        print(path.relative_to(BASE_DIR), path.stat().st_size)  # noqa: T201 -- a command


if __name__ == "__main__":
    main()
