"""A dump of the database, the log at debug level, every page: no secret but on the one page that shows it once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import httpx

from apikeys import keys
from benchmarks.stub_client import StubProcess
from tests.apikeys.dialects import ENDPOINTS, ask
from tests.harness import ADMIN_PASSWORD, SECRETS, GatewayServer

SECRET = re.compile(r"ollama_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


class TalkativeServer(GatewayServer):
    """A gateway that logs all that it can."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "DJANGO_SETTINGS_MODULE": "tests.apikeys.debug_settings"}


class Operator:
    """Somebody at the admin's pages."""

    def __init__(self, server: GatewayServer, http: httpx.Client) -> None:
        self.server = server
        self.http = http
        self.pages: dict[str, str] = {}
        self.post("/admin/login/", username="admin", password=ADMIN_PASSWORD, next="/admin/")

    def get(self, path: str) -> str:
        answer = self.http.get(f"{self.server.url}{path}", follow_redirects=True)
        assert answer.status_code == 200, path
        self.pages[path] = answer.text
        return answer.text

    def post(self, path: str, **form: str) -> str:
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.get(path))
        assert token, path
        data = {"csrfmiddlewaretoken": token[1], **form}
        return self.http.post(f"{self.server.url}{path}", data=data, follow_redirects=True).text


def test_no_secret_is_anywhere_but_where_it_is_shown_once(stub: StubProcess, tmp_path: Path) -> None:
    secrets: set[str] = set()
    # Django tells of template variables that are not there with tracebacks, which the harness takes for failures.
    server = TalkativeServer(ollama_url=stub.url, folder=tmp_path).start()
    try:
        secrets |= {server.key, server.manage("createapikey", "by hand", "--quiet").stdout.strip()}
        manager = server.manage("createapikey", "api", "--quiet", "--scopes", "inference,keys").stdout.strip()
        headers = {"X-API-Key": manager}
        issued = httpx.post(f"{server.url}/api/v1/keys", headers=headers, json={"label": "x"}).json()
        rotated = httpx.post(f"{server.url}/api/v1/keys/{issued['id']}/rotate", headers=headers).json()
        secrets |= {manager, issued["key"], rotated["key"]}
        with httpx.Client(timeout=10) as http:
            operator = Operator(server, http)
            shown = operator.post("/admin/apikeys/key/add/", label="in the admin", expires_0="", expires_1="")
            (made,) = set(SECRET.findall(shown))
            key_page = f"/admin/apikeys/key/{newest(server)}"
            (again,) = set(SECRET.findall(operator.post(f"{key_page}/rotate/", grace="24h")))
            secrets |= {made, again}
            for secret in secrets:
                for dialect in ENDPOINTS:
                    assert ask(server, secret, dialect).status_code == 200
                    ask(server, secret[:-1] + "0", dialect)
            for path in (
                "/admin/",
                "/admin/apikeys/key/",
                f"{key_page}/change/",
                f"{key_page}/history/",
                f"{key_page}/revoke/",
                "/admin/apikeys/auditentry/",
                "/admin/apikeys/auditentry/export.csv",
                "/admin/apikeys/auditentry/export.json",
                "/admin/apikeys/attemptcount/",
                "/",
                "/docs",
                "/api/info",
                "/api/schema",
                "/health",
            ):
                operator.get(path)
            listed = httpx.get(f"{server.url}/api/v1/keys", headers=headers).text
    finally:
        server.stop()
    written = {path.name: path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()}
    dump = server.manage("dumpdata").stdout
    assert "DEBUG" in written["log"]
    del written[".env"]
    assert len(secrets) == 7
    places = {**operator.pages, **written, "the dump": dump, "the API's list": listed}
    for secret in (*secrets, ADMIN_PASSWORD, *SECRETS.values()):
        proof = secret.split("_")[-1]
        assert [name for name, text in places.items() if proof in text] == []
    assert all(keys.parse(secret) for secret in secrets)


def newest(server: GatewayServer) -> int:
    rows = json.loads(server.manage("dumpdata", "apikeys.key").stdout)
    return max(row["pk"] for row in rows)
