"""Values that no database can hold, in what people's browsers send: 400, or the answer without them; never a 500."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from urllib.parse import urlencode

import httpx
import pytest

from benchmarks.stub_client import StubProcess
from tests.fuzz.conftest import SET_PASSWORD
from tests.fuzz.connection import Prober, request
from tests.harness import ADMIN_PASSWORD, GatewayServer
from tests.postgres import Postgres


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, stub: StubProcess) -> Iterator[GatewayServer]:
    if request.param == "sqlite":
        with GatewayServer(ollama_url=stub.url) as made:
            yield made
        return
    cluster: Postgres = request.getfixturevalue("postgres")
    url = cluster.url(f"checks_{secrets.token_hex(4)}")
    with GatewayServer(ollama_url=stub.url, fresh=True, DATABASE_URL=url) as made:
        made.manage("shell", "-c", SET_PASSWORD)
        yield made


@pytest.fixture(scope="module")
def browser(server: GatewayServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, headers={"Referer": server.url}) as made:
        made.get("/admin/login/")
        form = {"username": "admin", "password": ADMIN_PASSWORD, "csrfmiddlewaretoken": made.cookies["csrftoken"]}
        assert made.post("/admin/login/", data=form).status_code == 302
        yield made


def post(browser: httpx.Client, path: str, form: dict[str, str]) -> int:
    """Sends a form of the admin; returns the status of the answer."""
    form = {"csrfmiddlewaretoken": browser.cookies["csrftoken"], **form}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return browser.post(path, content=urlencode(form, errors="surrogatepass").encode(), headers=headers).status_code


@pytest.mark.parametrize(
    "cookie", ['"\\000aaaaaaaaaaaaaaaa"', '"\\355\\240\\275aaaaaaaaaa"', "aaaaaaaa\xff", '"', "a" * 300]
)
@pytest.mark.parametrize("path", ["/admin/", "/admin/login/", "/admin/apikeys/key/"])
def test_a_session_cookie_that_can_be_none_is_no_session(server: GatewayServer, path: str, cookie: str) -> None:
    prober = Prober(server)
    answer = prober.send(request("GET", path, {"Cookie": f"sessionid={cookie}"}))
    prober.close()
    assert answer is not None
    assert answer.status == (200 if path == "/admin/login/" else 302)
    prober.check_log()


@pytest.mark.parametrize(
    "query", ["q=%00", "key=a%00b", "model=%00", "team=%00", "request_id=%00", "%00=1", "route=%00"]
)
@pytest.mark.parametrize(
    "page", ["apikeys/key", "auth/user", "usage/usageday", "usage/usagerecord", "apikeys/auditentry"]
)
def test_a_nul_in_a_query_is_malformed(browser: httpx.Client, page: str, query: str) -> None:
    assert browser.get(f"/admin/{page}/?{query}").status_code == 400


BAD_IDS = ["\0", "x", "", "1e309", "9999-12-31", "\ud83d", "1" * 5000, str(10**30), str(2**63)]


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize(
    ("page", "action"),
    [("auth/user", "delete_selected"), ("auth/group", "delete_selected"), ("apikeys/key", "revoke")],
)
def test_a_selection_that_is_no_id_is_malformed(browser: httpx.Client, page: str, action: str, bad: str) -> None:
    form = {"action": action, "_selected_action": bad, "post": "yes"}
    assert post(browser, f"/admin/{page}/", form) == 400


@pytest.mark.parametrize("bad", [bad for bad in BAD_IDS if bad])
def test_an_owner_that_is_no_id_is_malformed(browser: httpx.Client, bad: str) -> None:
    assert post(browser, "/admin/apikeys/key/add/", {"label": "new", "owner": bad}) == 400


@pytest.mark.parametrize("unknown", [str(2**63 - 1), str(2**31), "-1", "0", "999999"])
def test_an_id_of_no_row_is_an_error_of_the_form(browser: httpx.Client, unknown: str) -> None:
    assert post(browser, "/admin/apikeys/key/add/", {"label": "new", "owner": unknown}) == 200
    form = {"action": "revoke", "_selected_action": unknown, "post": "yes"}
    assert post(browser, "/admin/apikeys/key/", form) in (200, 302)


def test_what_people_send_passes(browser: httpx.Client) -> None:
    assert browser.get("/admin/apikeys/key/?q=Ana").status_code == 200
    assert post(browser, "/admin/apikeys/key/add/", {"label": "new", "owner": ""}) == 200
