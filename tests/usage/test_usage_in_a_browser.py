"""The pages of usage and calls in a real browser: they fit a desk and a phone, where calls become cards."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.harness import ADMIN_PASSWORD, GatewayServer

CHROMIUM = shutil.which("chromium")
WINDOWS = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
CALLS = "/admin/usage/usagerecord/"
USAGE = "/admin/usage/usageday/"
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox root
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu", "--no-first-run", *root])
        yield found
        found.close()


@pytest.fixture(params=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, gateway: GatewayServer) -> Iterator[Page]:
    """A page of an operator who has logged in; no script of it may fail."""
    context = browser.new_context(viewport=WINDOWS[request.param])
    found = context.new_page()
    errors: list[str] = []
    found.on("pageerror", lambda error: errors.append(str(error)))
    found.goto(f"{gateway.url}/admin/")
    found.get_by_label("Username").fill("admin")
    found.get_by_label("Password").fill(ADMIN_PASSWORD)
    found.get_by_role("button", name="Log in").click()
    found.wait_for_url("**/admin/")
    yield found
    context.close()
    assert errors == []


def fits(page: Page) -> bool:
    return bool(
        page.evaluate(
            "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
            " && [...document.querySelectorAll('#result_list')]"
            ".every(table => table.scrollWidth <= table.parentElement.clientWidth + 8)"
        )
    )


def test_calls_fit_and_are_cards_on_a_phone(page: Page, gateway: GatewayServer) -> None:
    headers = {**gateway.headers, "X-Request-ID": "browser-call", "User-Agent": "ollama-python/0.4.7"}
    body = {"model": "missing-model-of-a-rather-long-name:70b-instruct-q8_0", "messages": 1}
    httpx.post(f"{gateway.url}/v1/chat/completions", headers=headers, json=body)
    row = page.locator("#result_list tbody", has_text="browser-call").first

    def look() -> bool:
        page.goto(f"{gateway.url}{CALLS}?q=browser-call")
        return row.count() > 0

    for _ in range(100):
        if look():
            break
    expect(row).to_contain_text("bad_request")
    assert fits(page)
    cells = row.locator("td, th")
    tops = [round((cells.nth(number).bounding_box() or {"y": 0})["y"]) for number in range(cells.count())]
    if page.viewport_size == WINDOWS["phone"]:
        assert len(set(tops)) == len(tops)
        names = [
            cells.nth(number).evaluate("cell => getComputedStyle(cell, '::before').content") for number in range(7)
        ]
        assert names[:3] == ['"Ended (UTC)"', '"result"', '"key"']
    else:
        assert len(set(tops)) == 1


def test_usage_of_chosen_days_is_reached_by_keyboard(page: Page, gateway: GatewayServer) -> None:
    page.goto(f"{gateway.url}{USAGE}")
    page.get_by_label("From").fill("2026-03-01")
    page.get_by_label("to", exact=True).fill("2026-03-31")
    page.keyboard.press("Enter")
    page.wait_for_url("**since=2026-03-01**")
    assert page.get_by_label("to", exact=True).input_value() == "2026-03-31"
    assert fits(page)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download CSV").click()
    assert download.value.suggested_filename == "usage-2026-03-01-2026-03-31.csv"
