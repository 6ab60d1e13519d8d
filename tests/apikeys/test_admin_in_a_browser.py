"""The operator's day in a real browser: issue a key, copy it, use it, revoke it, see it refused."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.harness import ADMIN_PASSWORD, GatewayServer, wait_until

CHROMIUM = shutil.which("chromium")
QUIET = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
# Where to leave pictures of each step; nowhere unless asked.
SCREENSHOTS = os.environ.get("SCREENSHOTS")

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


@pytest.fixture
def look() -> str:
    """How the pages are looked at: light, dark, or on a phone."""
    return "light"


@pytest.fixture
def context(browser: Browser, look: str) -> Iterator[BrowserContext]:
    made = browser.new_context(
        viewport={"width": 390, "height": 844} if look == "phone" else {"width": 1280, "height": 800},
        color_scheme="dark" if look == "dark" else "light",
        permissions=["clipboard-read", "clipboard-write"],
    )
    made.set_default_timeout(15_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, gateway: GatewayServer) -> Page:
    """A page whose operator has logged in, and which failed nowhere on its way."""
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    # Browsers ask for an icon that the admin does not have.
    page.on(
        "console",
        lambda message: (
            errors.append(f"{message.text} {message.location['url']}")
            if message.type == "error" and not message.location["url"].endswith("/favicon.ico")
            else None
        ),
    )
    page.on("request", lambda asked: None if asked.url.startswith(gateway.url) else errors.append(asked.url))
    page.goto(f"{gateway.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    yield page
    assert errors == []


@pytest.fixture
def picture(page: Page, look: str) -> Callable[[str], None]:
    """Takes a picture of the page, where a folder is given."""

    def take(name: str) -> None:
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{look}.png", full_page=True)

    return take


def status(gateway: GatewayServer, secret: str) -> int:
    headers = {"Authorization": f"Bearer {secret}"}
    return httpx.post(f"{gateway.url}/api/v1/generate", json={"prompt": "Hi"}, headers=headers).status_code


def fits(page: Page) -> bool:
    """Tells whether nothing sticks out to the right of the page."""
    page.wait_for_load_state()  # a page that is just coming has no element yet
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def copied(page: Page) -> str:
    """Copies the secret with the page's button, and returns what the clipboard has then."""
    page.get_by_role("button", name="Copy key").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    text: str = page.evaluate("navigator.clipboard.readText()")
    return text


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_the_operators_day(gateway: GatewayServer, page: Page, picture: Callable[[str], None]) -> None:
    keys = f"{gateway.url}/admin/apikeys/key/"
    page.goto(keys)
    page.get_by_role("link", name="Issue a key").click()
    page.get_by_label("Label").fill("Ana's laptop")
    page.get_by_role("textbox", name="Models").fill("mistral")
    picture("issue")
    page.get_by_role("button", name="Issue key").click()

    secret = copied(page)
    picture("issued")
    assert fits(page)
    assert secret == page.locator("#secret").inner_text()
    for snippet, words in (("curl", "curl -N"), ("OpenAI SDK", "OpenAI("), ("ollama CLI", "ollama run")):
        page.get_by_role("button", name=f"Copy {snippet}").click()
        wait_until(lambda words=words: words in page.evaluate("navigator.clipboard.readText()"), 5)
        assert secret in page.evaluate("navigator.clipboard.readText()")
    assert status(gateway, secret) == 200

    # A reload neither shows it again nor issues another one.
    page.reload()
    expect(page.get_by_text("May use mistral, from anywhere.")).to_be_visible()
    assert secret.split("_")[2] not in page.content()
    assert fits(page)
    picture("key")
    key_page = page.url

    page.get_by_role("link", name="Rotate", exact=True).click()
    picture("rotate")
    page.get_by_role("button", name="Rotate this key").click()
    second = copied(page)
    assert second != secret
    assert [status(gateway, one) for one in (secret, second)] == [200, 200]
    picture("rotated")

    for name, expected in (("Disable", 401), ("Enable", 200)):
        page.goto(key_page)
        page.get_by_role("link", name=name, exact=True).click()
        page.get_by_role("button", name=f"{name} this key").click()
        expect(page.get_by_text(f"{name}d Ana's laptop")).to_be_visible()
        wait_until(lambda expected=expected: status(gateway, second) == expected, 1.0)

    page.get_by_role("link", name="Revoke", exact=True).click()
    expect(page.get_by_text("cannot be brought back")).to_be_visible()
    assert fits(page)
    picture("revoke")
    page.get_by_role("button", name="Revoke this key").click()
    expect(page.get_by_text("Revoked Ana's laptop")).to_be_visible()
    for one in (secret, second):
        wait_until(lambda one=one: status(gateway, one) == 401, 1.0)
    picture("revoked")
    for gone in ("Revoke", "Rotate", "Disable", "Enable"):
        expect(page.get_by_role("link", name=gone, exact=True)).to_have_count(0)
    expect(page.get_by_role("button", name="Save")).to_have_count(0)

    key_id = secret.split("_")[1]
    page.goto(f"{keys}?q={key_id}")
    expect(page.locator(".key-state")).to_have_text("revoked")
    assert fits(page)
    page.goto(f"{gateway.url}/admin/apikeys/auditentry/?q={key_id}")
    expect(page.locator(".key-state")).to_have_text(["revoked", "enabled", "disabled", "rotated", "issued"])
    picture("audit")


def test_several_keys_are_revoked_at_once(gateway: GatewayServer, page: Page, picture: Callable[[str], None]) -> None:
    secrets = [gateway.manage("createapikey", f"robot {name}", "--quiet").stdout.strip() for name in ("one", "two")]
    for secret in secrets:
        page.goto(f"{gateway.url}/admin/apikeys/key/?q=robot")
        row = page.get_by_role("row").filter(has_text=secret.split("_")[1])
        expect(row.locator(".key-state")).to_have_text("active")
    for secret in secrets:
        page.get_by_role("row").filter(has_text=secret.split("_")[1]).get_by_role("checkbox").check()
    page.locator("select[name=action]").select_option(label="Revoke selected API keys")
    page.get_by_role("button", name="Run").click()
    picture("revoke-many")
    page.get_by_role("button", name="Revoke 2 keys").click()
    expect(page.get_by_text("Revoked 2 keys")).to_be_visible()
    for secret in secrets:
        wait_until(lambda secret=secret: status(gateway, secret) == 401, 1.0)


def test_a_key_is_issued_and_revoked_with_the_keyboard_alone(gateway: GatewayServer, page: Page) -> None:
    page.goto(f"{gateway.url}/admin/apikeys/key/add/")
    page.get_by_label("Label").focus()
    page.keyboard.type("typed")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Copy key").press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    page.get_by_role("link", name=re.compile("^This key")).press("Enter")
    page.get_by_role("link", name="Revoke", exact=True).first.press("Enter")
    page.get_by_role("button", name="Revoke this key").press("Enter")
    expect(page.get_by_text("Revoked typed")).to_be_visible()


@pytest.mark.parametrize("look", ["light", "dark", "phone"])
def test_a_team_is_limited_and_freed_with_the_keyboard_alone(gateway: GatewayServer, page: Page, look: str) -> None:
    page.goto(f"{gateway.url}/admin/apikeys/allowance/")
    page.get_by_role("link", name="Add limit").press("Enter")
    expect(page.get_by_label("Applies to")).to_be_focused()
    page.keyboard.type(f"team:typed-{look}")
    page.keyboard.press("Tab")
    page.keyboard.type("5")
    page.keyboard.press("Enter")
    expect(page.get_by_text("may use 5 requests a minute")).to_be_visible()
    assert fits(page)
    page.get_by_role("link", name=f"typed-{look}").press("Enter")
    assert fits(page)
    page.get_by_label("Requests a minute").fill("")
    page.get_by_role("button", name="Set limits").press("Enter")
    expect(page.get_by_text("has no limits any more")).to_be_visible()
    expect(page.get_by_role("link", name=f"typed-{look}")).to_have_count(0)


def test_the_key_can_be_copied_without_a_clipboard(gateway: GatewayServer, page: Page) -> None:
    # As on plain HTTP away from localhost, where browsers offer none.
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', {value: undefined})")
    page.goto(f"{gateway.url}/admin/apikeys/key/add/")
    page.get_by_label("Label").fill("plain")
    page.get_by_role("button", name="Issue key").press("Enter")
    page.get_by_role("button", name="Copy key").press("Enter")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("getSelection().toString()") == page.locator("#secret").inner_text()


GROUPS = {
    "Key issuer": {"issue": True, "scopes": ["inference"], "limits": False, "audit": False, "users": 200, "user": 403},
    "Operator": {
        "issue": True,
        "scopes": ["inference", "manage", "keys", "metrics"],
        "limits": True,
        "audit": True,
        "users": 200,
        "user": 200,
    },
    "Auditor": {"issue": False, "limits": True, "audit": True, "users": 200, "user": 403},
}


@pytest.mark.parametrize("group", GROUPS)
def test_each_ready_made_group_at_work(gateway: GatewayServer, context: BrowserContext, group: str) -> None:
    may, name = GROUPS[group], group.replace(" ", "-").lower()
    code = (
        "from django.contrib.auth.models import *;"
        f"u = User.objects.create_user({name!r}, password={ADMIN_PASSWORD!r}, is_staff=True);"
        f"u.groups.add(Group.objects.get(name={group!r}))"
    )
    gateway.manage("shell", "-v", "0", "-c", code)
    page = context.new_page()
    page.goto(f"{gateway.url}/admin/")
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{gateway.url}/admin/")
    for path, allowed in (("apikeys/allowance", may["limits"]), ("apikeys/auditentry", may["audit"])):
        answer = page.goto(f"{gateway.url}/admin/{path}/")
        assert answer is not None
        assert answer.status == (200 if allowed else 403), path
    for path, status_wanted in (("auth/user/", may["users"]), ("auth/user/add/", may["user"])):
        answer = page.goto(f"{gateway.url}/admin/{path}")
        assert answer is not None
        assert answer.status == status_wanted, path
    page.goto(f"{gateway.url}/admin/apikeys/key/")
    if not may["issue"]:
        expect(page.get_by_role("link", name="Issue a key")).to_have_count(0)
        return
    page.get_by_role("link", name="Issue a key").click()
    page.get_by_label("Label").fill(f"by {group}")
    values = [box.get_attribute("value") for box in page.locator("input[name=scopes]").all()]
    assert values == may["scopes"]
    page.get_by_role("button", name="Issue key").click()
    assert status(gateway, copied(page)) == 200
