"""Alerts: a budget that is nearly or wholly spent is told of, once a period."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import orjson
import pytest
from django.utils import timezone

from apikeys.models import Allowance, Key
from tests.usage.journals import ended
from usage import alerts as module
from usage.alerts import PAUSES, Alerts
from usage.applying import store
from usage.lines import read
from usage.models import BudgetAlert
from usage.webhook import Webhook

pytestmark = pytest.mark.django_db


class Hook:
    """An address that takes posts, and answers each with the next of `statuses`, else 204."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.taken: list[tuple[dict[str, str], bytes]] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.taken.append((dict(self.headers), body))
                self.send_response(hook.statuses.pop(0) if hook.statuses else 204)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def said(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.taken]


@pytest.fixture
def hook() -> Iterator[Hook]:
    made = Hook()
    yield made
    made.server.shutdown()
    made.server.server_close()


def use(key: str, tokens: int, **said: Any) -> None:
    now = datetime.now(UTC).timestamp()
    store([read(orjson.dumps(ended(key=key, prompt_tokens=tokens, completion_tokens=0, at=now, **said)))])


@pytest.fixture
def ana() -> str:
    key = Key.objects.issue(label="Ana's laptop")[0]
    Allowance.put("key", key.key_id, {"tokens_per_day": 100})
    return key.key_id


def levels() -> list[tuple[str, str, int]]:
    return sorted(BudgetAlert.objects.values_list("subject", "dimension", "level"))


def tell_all(alerts: Alerts) -> None:
    while alerts.step():
        pass


def test_eighty_percent_and_all_are_each_told_once(ana: str, hook: Hook, caplog: pytest.LogCaptureFixture) -> None:
    alerts = Alerts({}, Webhook(hook.url, "secret"))
    use(ana, 79)
    tell_all(alerts)
    assert hook.said == []
    use(ana, 1)
    tell_all(alerts)
    tell_all(alerts)
    use(ana, 20)
    tell_all(alerts)
    tell_all(alerts)
    assert [(said["level"], said["spent"], said["amount"]) for said in hook.said] == [(80, 80, 100), (100, 100, 100)]
    first = hook.said[0]
    assert (first["subject"], first["name"], first["dimension"]) == (f"key:{ana}", "Ana's laptop", "tokens_per_day")
    assert first["period"] == f"{datetime.now(UTC).date()}"
    assert len(caplog.records) == 2


def test_a_budget_that_was_raised_is_told_of_anew(ana: str, hook: Hook) -> None:
    alerts = Alerts({}, Webhook(hook.url))
    use(ana, 100)
    tell_all(alerts)
    Allowance.put("key", ana, {"tokens_per_day": 1000})
    tell_all(alerts)
    use(ana, 700)
    tell_all(alerts)
    tell_all(alerts)
    Allowance.put("key", ana, {"tokens_per_day": 900})  # less than it was told of
    tell_all(alerts)
    use(ana, 300)
    tell_all(alerts)
    tell_all(alerts)
    assert [(said["level"], said["spent"], said["amount"]) for said in hook.said] == [
        (100, 100, 100),
        (80, 800, 1000),
        (100, 1100, 900),
    ]


def test_both_levels_at_once_are_told_as_one(ana: str, hook: Hook) -> None:
    use(ana, 200)
    tell_all(Alerts({}, Webhook(hook.url)))
    tell_all(Alerts({}, Webhook(hook.url)))  # after a restart
    assert [said["level"] for said in hook.said] == [100]
    assert [level for *_, level in levels()] == [80, 100]


def test_what_is_sent_is_signed_with_its_time(ana: str, hook: Hook) -> None:
    use(ana, 80)
    tell_all(Alerts({}, Webhook(hook.url, "secret")))
    headers, body = hook.taken[0]
    signed = hmac.new(b"secret", headers["X-Timestamp"].encode() + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Signature"] == f"sha256={signed}"
    assert headers["Content-Type"] == "application/json"


def test_owners_and_teams_have_budgets_and_keys_have_defaults(ana: str) -> None:
    Allowance.put("owner", "7", {"tokens_per_month": 100})
    Allowance.put("team", "lab", {"tokens_total": 100})
    use(ana, 90, owner=7, team="lab")
    use("anothers", 9)
    use("unlimited", 10)
    Allowance.put("key", "unlimited", {"tokens_per_day": 1000})
    Alerts({"tokens_per_day": 10}).step()
    assert set(levels()) == {
        ("key:anothers", "tokens_per_day", 80),
        (f"key:{ana}", "tokens_per_day", 80),
        ("owner:7", "tokens_per_month", 80),
        ("team:lab", "tokens_total", 80),
    }


def test_another_day_is_another_period(ana: str) -> None:
    use(ana, 80)
    Alerts({}).step()
    BudgetAlert.objects.update(period="2020-01-01")
    Alerts({}).step()
    assert BudgetAlert.objects.count() == 2


@pytest.mark.parametrize("status", [500, 404, 302])
def test_a_webhook_that_fails_is_tried_again_later(
    ana: str, hook: Hook, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    hook.statuses = [status]
    use(ana, 80)
    alerts = Alerts({}, Webhook(hook.url))
    tell_all(alerts)
    tell_all(alerts)
    assert len(hook.taken) == 1, "not at once"
    assert f"HTTP {status}" in caplog.text
    assert hook.url not in caplog.text
    BudgetAlert.objects.update(due=timezone.now() - timedelta(seconds=1))
    tell_all(alerts)
    tell_all(alerts)
    assert len(hook.taken) == 2
    assert BudgetAlert.objects.get().due is None


def test_a_webhook_that_never_answers_is_given_up(ana: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSES", (0,) * len(PAUSES))
    use(ana, 80)
    tell_all(Alerts({}, Webhook("http://127.0.0.1:9/")))
    alert = BudgetAlert.objects.get()
    assert (alert.attempts, alert.due) == (len(PAUSES) + 1, None)


def test_without_a_webhook_the_log_is_told(ana: str, caplog: pytest.LogCaptureFixture) -> None:
    use(ana, 80)
    assert not Alerts({}).step()
    assert [record.getMessage() for record in caplog.records] == [
        f"Ana's laptop (key:{ana}) has spent 80 % of its tokens_per_day: 80 of 100."
    ]
