"""`manage.py importapikeys`: from CSV, from JSON, and from the predecessor's database."""

from __future__ import annotations

import csv
import json
import secrets
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command

from apikeys import keys
from apikeys.feed import KeyFeed
from apikeys.models import Key
from tests.apikeys.dialects import ask
from tests.harness import GatewayServer, wait_until

OLD = [f"ollama_{secrets.token_hex(16)}" for _ in range(3)]


def imported(path: Path, *options: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("importapikeys", str(path), "--yes", *options, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def old_database(path: Path, *, table: str = "api_keys", key: str = "key", label: str = "label") -> Path:
    """A database as the predecessor's README describes it: keys and labels, made on the first run."""
    with closing(sqlite3.connect(path)) as database:
        database.execute(
            f'CREATE TABLE "{table}" (id INTEGER PRIMARY KEY AUTOINCREMENT, "{key}" TEXT UNIQUE NOT NULL, '
            f'"{label}" TEXT, created_at DATETIME DEFAULT CURRENT_TIMESTAMP)'
        )
        database.executemany(f'INSERT INTO "{table}" ("{key}", "{label}") VALUES (?, ?)', zip(OLD, "abc", strict=True))  # noqa: S608 -- our own
        database.execute("CREATE TABLE settings (name TEXT, value TEXT)")
        database.commit()
    return path


def test_old_keys_go_on_working_through_the_front_door(
    make_gateway: Callable[..., GatewayServer], tmp_path: Path
) -> None:
    server = make_gateway()
    path = old_database(tmp_path / "api_keys.sqlite3")
    assert ask(server, OLD[0]).status_code == 401
    done = server.manage("importapikeys", str(path), "--yes")
    assert "table 'api_keys', column 'key'; labels: 'label'" in done.stderr
    for old in OLD:
        assert ask(server, old).status_code == 200
    assert ask(server, f"ollama_{secrets.token_hex(16)}").status_code == 401

    listed = json.loads(server.manage("listapikeys", "--json").stdout)
    legacy = {key["label"]: key["id"] for key in listed if key["legacy"]}
    assert set(legacy) == {"a", "b", "c"}
    new = server.manage("rotateapikey", legacy["a"], "--quiet").stdout.strip()
    assert [ask(server, secret).status_code for secret in (new, OLD[0])] == [200, 200]
    server.manage("rotateapikey", legacy["b"], "--grace", "0")
    server.manage("revokeapikey", legacy["c"])
    for old in OLD[1:]:
        wait_until(lambda old=old: ask(server, old).status_code == 401, 1.0)
    assert ask(server, OLD[0]).status_code == 200
    server.stop()
    for old in OLD:
        assert old not in server.log()
        assert old not in (server.folder / "db.sqlite3").read_bytes().decode("latin-1")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("table", "key", "label"), [("keys", "api_key", "name"), ("ApiKeys", "token", "Label"), ("odd one", "k y", "x")]
)
def test_table_and_columns_are_found_by_looking(tmp_path: Path, table: str, key: str, label: str) -> None:
    _, said = imported(old_database(tmp_path / "old.sqlite", table=table, key=key, label=label))
    assert "Found 3 keys" in said
    labels = set(Key.objects.values_list("label", flat=True))
    assert labels == ({"a", "b", "c"} if label != "x" else {"Imported key"})


@pytest.mark.django_db
def test_an_import_can_be_repeated(tmp_path: Path) -> None:
    path = old_database(tmp_path / "old.sqlite")
    imported(path)
    _, said = imported(path)
    assert "3 of them are here already" in said
    assert Key.objects.count() == 3


@pytest.mark.django_db
def test_a_database_without_keys_is_said_to_be_one(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as database:
        database.execute("CREATE TABLE animals (name TEXT)")
    with pytest.raises(CommandError, match="there are: animals"):
        imported(tmp_path / "x.sqlite")


@pytest.mark.django_db
def test_a_key_that_was_no_longer_good_is_disabled(tmp_path: Path, own_feed: KeyFeed) -> None:
    with closing(sqlite3.connect(tmp_path / "x.sqlite")) as database:
        database.execute("CREATE TABLE api_keys (key TEXT, label TEXT, active INTEGER)")
        database.executemany("INSERT INTO api_keys VALUES (?, ?, ?)", [(OLD[0], "on", 1), (OLD[1], "off", 0)])
        database.commit()
    imported(tmp_path / "x.sqlite")
    assert {key.label: key.state for key in Key.objects.all()} == {"on": "active", "off": "disabled"}


@pytest.mark.django_db
def test_a_csv_file_becomes_keys_with_new_secrets(tmp_path: Path) -> None:
    User.objects.create_user("ana")
    path = tmp_path / "keys.csv"
    path.write_text(
        'label,owner,team,models,requests_per_minute,expires\nAna,ana,research,"mistral,me/*",60,30d\nBen,,,,,\n'
    )
    out, _ = imported(path)
    rows = list(csv.DictReader(out.splitlines()))
    assert [row["label"] for row in rows] == ["Ana", "Ben"]
    assert [keys.parse(row["key"]).id for row in rows] == [row["id"] for row in rows]
    ana = Key.objects.get(label="Ana")
    assert (ana.owner.username, ana.team, ana.models, ana.limits) == (
        "ana",
        "research",
        "mistral,me/*",
        {"requests_per_minute": 60},
    )


@pytest.mark.django_db
def test_what_listapikeys_writes_can_be_read(tmp_path: Path) -> None:
    Key.objects.issue(label="Ana", models="mistral,me/*", scopes="inference,keys", limits={"concurrency": 2})
    out = StringIO()
    call_command("listapikeys", "--json", stdout=out)
    (tmp_path / "keys.json").write_text(out.getvalue())
    imported(tmp_path / "keys.json")
    one, two = Key.objects.all()
    assert (one.models, one.scopes, one.limits) == (two.models, two.scopes, two.limits)
    assert one.key_id != two.key_id


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("label,owner\nAna,nobody\n", "Row 1 .*no user is called 'nobody'"),
        ('label\nAna\n""\n', "Row 2 .*needs a label"),
        ("label,key\nAna,sk-1234\n", "not of the form ollama_<hex>"),
        ("label,models\nAna,a|b\n", "'a|b' is no model"),
        ("label,tokens_per_day\nAna,many\n", "tokens_per_day is 'many'"),
        ("[1]", "array of objects"),
        ("[", "not valid JSON"),
    ],
)
def test_a_wrong_row_imports_nothing(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(CommandError, match=says.replace("|", r"\|")) as error:
        imported(tmp_path / "keys")
    assert "sk-1234" not in str(error.value)
    assert not Key.objects.exists()


@pytest.mark.django_db
def test_nothing_is_written_unasked(tmp_path: Path) -> None:
    path = old_database(tmp_path / "old.sqlite")
    with pytest.raises(CommandError, match="--yes"):
        call_command("importapikeys", str(path), stderr=StringIO())
    assert not Key.objects.exists()
