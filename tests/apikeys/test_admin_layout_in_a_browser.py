"""The admin's pages in a real browser: nothing sticks out or is cut, on a small desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.apikeys.test_admin_in_a_browser import browser, pytestmark  # noqa: F401 -- a fixture, and its marks
from tests.harness import ADMIN_PASSWORD, GatewayServer

SIZES = {"desk": {"width": 1280, "height": 800}, "phone": {"width": 390, "height": 844}}
SEED = """
from django.contrib.auth.models import User
from apikeys.models import Key
from apikeys.whose import whose
ana = User.objects.create_user("ana", is_staff=True)
limits = dict.fromkeys(("tokens_per_minute", "tokens_per_day", "tokens_total", "output_tokens"), 10**15)
limits |= {"requests_per_minute": 30, "concurrency": 2}
key, _ = Key.objects.issue(label="Laptop", owner=ana, team="robotics", note="Ticket 4711", limits=limits)
whose("team:robotics").limit({"tokens_per_day": 50_000})
print(key.pk, key.key_id)
"""
PLACES = (
    *("apikeys/key/", "apikeys/key/add/", "apikeys/key/{}/change/", "apikeys/allowance/", "apikeys/allowance/add/"),
    *("apikeys/auditentry/", "apikeys/attemptcount/", "auth/user/", "auth/user/add/", "auth/user/1/change/"),
    *("auth/group/", "auth/group/add/", "auth/group/1/change/"),
)
# What a person would have to scroll sideways for, or can't read.
STICKS_OUT = """() => {
  const width = document.documentElement.clientWidth;
  const box = (e) => e.getBoundingClientRect();
  const inputs = [...document.querySelectorAll("input, select, textarea")].filter((e) => box(e).width);
  const out = inputs.filter((e) => box(e).right > Math.min(width, box(e.parentElement).right + 2));
  const cut = inputs.filter((e) => /text|number|email/.test(e.type) && e.scrollWidth > e.clientWidth + 1);
  const whole = document.documentElement.scrollWidth;
  const wide = whole > width ? [`the page: ${whole} of ${width}`] : [];
  return [...wide, ...out.map((e) => `out: ${e.name}`), ...cut.map((e) => `cut: ${e.name}`)];
}"""


@pytest.fixture(scope="module")
def server(stub: object) -> Iterator[GatewayServer]:
    with GatewayServer(ollama_url=stub.url) as made:  # type: ignore[attr-defined] # the stub's process
        yield made


@pytest.fixture(scope="module")
def key(server: GatewayServer) -> tuple[str, str]:
    """A key with every limit: its number and its id."""
    number, key_id = server.manage("shell", "-v", "0", "-c", SEED).stdout.split()[-2:]
    return number, key_id


@pytest.fixture(params=SIZES)
def page(request: pytest.FixtureRequest, browser: Browser, server: GatewayServer) -> Iterator[Page]:  # noqa: F811 -- the fixture
    """Somebody of the staff who is logged in."""
    context = browser.new_context(base_url=server.url, viewport=SIZES[request.param])  # type: ignore[arg-type] # a dict
    context.set_default_timeout(15_000)
    opened = context.new_page()
    opened.goto("/admin/")
    opened.get_by_label("Username").fill("admin")
    opened.get_by_label("Password").fill(ADMIN_PASSWORD)
    opened.get_by_role("button", name="Log in").click()
    opened.wait_for_load_state("networkidle")
    yield opened
    context.close()


def test_nothing_sticks_out_and_no_field_is_cut(page: Page, key: tuple[str, str]) -> None:
    found = {}
    for place in PLACES:
        page.goto(f"/admin/{place.format(key[0])}", wait_until="networkidle")
        if said := page.evaluate(STICKS_OUT):
            found[place] = said
    assert found == {}


def test_the_form_for_a_key_begins_in_its_first_field(page: Page) -> None:
    page.goto("/admin/apikeys/key/add/")
    # The attribute, not the focus: a browser without windows gives that to one page at a time.
    expect(page.locator("[autofocus]")).to_have_attribute("id", "id_label")


@pytest.mark.parametrize("words", ["robotics", "ana", "4711", "Laptop"])
def test_keys_are_found_by_team_owner_note_and_label(page: Page, key: tuple[str, str], words: str) -> None:
    page.goto(f"/admin/apikeys/key/?q={words}")
    expect(page.get_by_text(key[1]).first).to_be_visible()
    expect(page.get_by_text("tests")).to_have_count(0)


def test_a_pasted_key_is_found_and_stays_out_of_the_address(page: Page, key: tuple[str, str]) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    secret = f"ollama_{key[1]}_" + "Q" * 43 + "abcdef"
    page.goto("/admin/apikeys/key/", wait_until="networkidle")
    page.locator("input[name=q]").fill(secret)
    page.locator("input[name=q]").press("Enter")
    page.wait_for_url(f"**q={key[1]}*")
    expect(page.get_by_text(key[1]).first).to_be_visible()
    assert not any("QQQQ" in url for url in asked)


def test_a_key_in_an_address_is_replaced_by_its_id(page: Page, key: tuple[str, str]) -> None:
    page.goto(f"/admin/apikeys/key/?q=ollama_{key[1]}_{'Q' * 43}abcdef")
    assert page.url.endswith(f"?q={key[1]}")


def test_a_keys_page_shows_what_is_left_of_its_limits_and_its_teams(page: Page, key: tuple[str, str]) -> None:
    page.goto(f"/admin/apikeys/key/{key[0]}/change/")
    expect(page.get_by_text("requests a minute: 30 of 30 left")).to_be_visible()
    expect(page.get_by_text("tokens a day (team): 50,000 of 50,000 left")).to_be_visible()


def test_what_a_key_may_do_is_what_is_stored(page: Page, key: tuple[str, str]) -> None:
    page.goto(f"/admin/apikeys/key/{key[0]}/change/")
    page.locator("#id_models").fill("mistral")
    page.locator("#id_label").fill("x" * 99 + "\u202e")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Please correct the error").first).to_be_visible()
    expect(page.get_by_text("May use every model, from anywhere.")).to_be_visible()
