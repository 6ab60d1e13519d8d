"""What a suspicious request leaves in the log: one line, whatever it holds."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from tests.harness import ADMIN_PASSWORD, GatewayServer


def test_a_crafted_admin_address_is_one_line_of_the_log(make_gateway: Callable[..., GatewayServer]) -> None:
    server = make_gateway()
    with httpx.Client(base_url=server.url, headers={"Referer": server.url}) as browser:
        browser.get("/admin/login/")
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": browser.cookies["csrftoken"]}
        assert browser.post("/admin/login/", data=form).status_code == 302
        for query in ("password__startswith=a", "_to_field=x%0a2026-01-01 ERROR forged: line"):
            assert browser.get(f"/admin/auth/user/?{query}").status_code == 400
    said = server.log()
    assert "Traceback" not in said
    assert "DisallowedModelAdminLookup: Filtering by password" in said
    assert "\n2026-01-01 ERROR forged" not in said
    assert "x\\n2026-01-01 ERROR forged: line" in said
