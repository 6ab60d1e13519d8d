"""The docs in a real browser: authorize, try an endpoint, see its answer; light on a desk, dark on a phone."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.harness import GatewayServer

CHROMIUM = shutil.which("chromium")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
GENERATE = "#operations-Gateway_API-post_api_v1_generate"

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    root = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium refuses to sandbox root
    with sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--disable-gpu", *QUIET, *root])
        yield found
        found.close()


@pytest.fixture(params=["desk", "phone"])
def page(request: pytest.FixtureRequest, browser: Browser, gateway: GatewayServer) -> Iterator[Page]:
    """A page that complains of nothing, and asks nobody but the gateway; dark on the phone."""
    phone = request.param == "phone"
    context = browser.new_context(
        viewport={"width": 390, "height": 844} if phone else {"width": 1280, "height": 800},
        color_scheme="dark" if phone else "light",
    )
    context.set_default_timeout(15_000)
    opened = context.new_page()
    complaints: list[str] = []
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    opened.on(
        "request",
        lambda asked: None if asked.url.startswith((gateway.url, "data:", "blob:")) else complaints.append(asked.url),
    )
    yield opened
    context.close()
    assert complaints == []


def fits(page: Page) -> bool:
    """Tells whether nothing sticks out of the window's width."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def test_a_key_opens_an_endpoint_that_can_be_tried(page: Page, gateway: GatewayServer) -> None:
    page.goto(f"{gateway.url}/docs")
    page.click(".btn.authorize")
    first = page.locator(".auth-container").first
    first.locator("input").fill(gateway.key)
    first.locator("button.authorize").click()
    page.locator(".btn-done").first.click()

    page.click(f"{GENERATE} .opblock-summary-control")
    page.click(f"{GENERATE} .try-out__btn")
    page.click(f"{GENERATE} .execute")
    live = page.locator(f"{GENERATE} .live-responses-table")
    expect(live.locator("tbody .response-col_status")).to_contain_text("200")
    expect(live).to_contain_text('"done": true')
    assert fits(page)


def test_a_stream_can_be_tried_too(page: Page, gateway: GatewayServer) -> None:
    page.goto(f"{gateway.url}/docs")
    page.click(".btn.authorize")
    bearer = page.locator(".auth-container").filter(has_text="BearerKey")
    bearer.locator("input").fill(gateway.key)
    bearer.locator("button.authorize").click()
    page.locator(".btn-done").first.click()

    page.click(f"{GENERATE} .opblock-summary-control")
    page.click(f"{GENERATE} .try-out__btn")
    page.locator(f"{GENERATE} .examples-select select, {GENERATE} .examples-select-element").first.select_option(
        "streamed"
    )
    page.click(f"{GENERATE} .execute")
    live = page.locator(f"{GENERATE} .live-responses-table")
    expect(live.locator("tbody .response-col_status")).to_contain_text("200")
    expect(live).to_contain_text("text/event-stream")
    expect(live).to_contain_text('"done":true')


def test_home_leads_to_the_docs(page: Page, gateway: GatewayServer) -> None:
    page.goto(f"{gateway.url}/")
    expect(page.locator(".status")).to_contain_text("up")
    assert fits(page)
    page.get_by_role("link", name="API docs").first.click()
    expect(page.locator(GENERATE)).to_be_visible()
    assert fits(page)


def test_authorize_opens_at_the_first_field(page: Page, gateway: GatewayServer) -> None:
    page.goto(f"{gateway.url}/docs")
    page.get_by_role("button", name="Authorize").first.click()
    expect(page.locator(".dialog-ux input").first).to_be_focused()
