"""Takes the pictures of the admin that the documentation shows: `scripts/screenshots [FOLDER]`."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.stub_client import StubProcess
from tests.harness import ADMIN_PASSWORD, BASE_DIR, GatewayServer

LOOKS = {
    "light": {"viewport": {"width": 1360, "height": 860}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1360, "height": 860}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "device_scale_factor": 2},
    "phone-dark": {"viewport": {"width": 390, "height": 844}, "color_scheme": "dark", "device_scale_factor": 2},
}

SEED = """
import random
from datetime import timedelta
import orjson
from django.contrib.auth.models import User
from django.utils import timezone
from apikeys.actor import acting
from apikeys.models import AttemptCount, Key
from apikeys.whose import whose
from tests.usage.journals import ended
from usage.applying import store
from usage.lines import read
ana, ben = (User.objects.create_user(name, is_staff=True) for name in ("ana", "ben"))
with acting("user admin", "192.0.2.7"):
    issue = Key.objects.issue
    issue(label="Ben's notebook", owner=ben, team="research")
    old, _ = issue(label="Trial account", expires=timezone.now() + timedelta(hours=1))
    lost, _ = issue(label="Lost phone", owner=ana, team="research")
    ci, _ = issue(label="CI pipeline", team="platform", models="mistral,llama3*", routes="openai",
                  addresses="10.20.0.0/16", limits={"requests_per_minute": 60, "tokens_per_day": 500_000})
    bot, _ = issue(label="Support bot", team="support", models="mistral", scopes="inference",
                   expires=timezone.now() + timedelta(days=88))
    issue(label="Provisioning", owner=ana, team="platform", scopes="inference,keys")
    laptop, _ = issue(label="Ana's laptop", owner=ana, team="research", note="Asked for on Monday.",
                      models="mistral,llama3*,me/*", limits={"requests_per_minute": 30, "concurrency": 2})
    lost.revoke()
    Key.objects.filter(pk=bot.pk).disable()
    laptop.rotate(timedelta(hours=24))
    whose("team:research").limit({"tokens_per_day": 50_000, "tokens_per_month": 400_000, "concurrency": 8})
    whose("team:support").limit({"tokens_total": 2_000_000, "output_tokens": 1000})
    whose("owner:ana").limit({"requests_per_minute": 120, "tokens_per_month": 300_000})
    Key.objects.filter(pk=old.pk).update(expires=timezone.now() - timedelta(minutes=1))
now = timezone.now().timestamp()
chance = random.Random(4)
for key, latest, calls in ((ci, 40, 60), (laptop, 300, 40), (lost, 90_000, 12)):
    ages = [latest, *(latest + chance.random() * 6 * 86_400 for _ in range(calls))]
    store([
        read(orjson.dumps(ended(
            f"{number:024x}", key=key.key_id, owner=key.owner_id, team=key.team, at=now - age,
            prompt_tokens=chance.randint(50, 900), completion_tokens=chance.randint(100, 2500),
        )))
        for number, age in enumerate(ages)
    ])
AttemptCount.add({"203.0.113.9": 1840, "198.51.100.4": 12, "2001:db8::/64": 3})
print(laptop.pk)
"""


def take(browser: Browser, server: GatewayServer, key: str, look: str, folder: Path) -> None:
    """Takes all pictures in one look."""
    context = browser.new_context(**LOOKS[look])
    page = context.new_page()
    page.goto(f"{server.url}/admin/")
    page.get_by_label("Username").fill("admin")
    page.get_by_label("Password").fill(ADMIN_PASSWORD)
    shoot(page, folder, "login", look)
    page.get_by_role("button", name="Log in").click()
    keys = f"{server.url}/admin/apikeys/key/"
    places = {
        "keys": keys,
        "issue": f"{keys}add/",
        "key": f"{keys}{key}/change/",
        "rotate": f"{keys}{key}/rotate/",
        "revoke": f"{keys}{key}/revoke/",
        "limits": f"{server.url}/admin/apikeys/allowance/",
        "limit": f"{server.url}/admin/apikeys/allowance/team_3Aresearch/change/",
        "audit": f"{server.url}/admin/apikeys/auditentry/",
        "invalid-keys": f"{server.url}/admin/apikeys/attemptcount/",
    }
    for name, url in places.items():
        page.goto(url)
        shoot(page, folder, name, look)
    page.goto(places["issue"])
    page.get_by_label("Label").fill("Workshop")
    page.get_by_role("button", name="Issue key").click()
    page.get_by_role("button", name="Copy key").wait_for()
    shoot(page, folder, "issued", look)
    context.close()


def shoot(page: Page, folder: Path, name: str, look: str) -> None:
    """Takes one picture, once fonts and scripts are there; complains about a page that is too wide."""
    page.wait_for_load_state("networkidle")
    page.screenshot(path=folder / f"{name}-{look}.png", full_page=name in ("issued", "key") and "phone" in look)
    if not page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"):
        print(f"{name} is too wide in {look}", file=sys.stderr)  # noqa: T201 -- for whoever takes them


def main() -> None:
    """Starts a gateway with some keys, and takes the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else BASE_DIR / "docs" / "screenshots"
    folder.mkdir(parents=True, exist_ok=True)
    chromium = shutil.which("chromium")
    root = ["--no-sandbox"] if os.geteuid() == 0 else []
    with StubProcess() as stub, GatewayServer(ollama_url=stub.url) as server, sync_playwright() as playwright:
        key = server.manage("shell", "-v", "0", "-c", SEED).stdout.split()[-1]
        httpx.get(f"{server.url}/api/tags", headers=server.headers).raise_for_status()
        browser = playwright.chromium.launch(executable_path=chromium, args=["--disable-gpu", *root])
        for look in LOOKS:
            take(browser, server, key, look, folder)
        browser.close()


if __name__ == "__main__":
    main()
