"""A file of keys becomes exactly the keys that it describes, or none: no cell, column, field or state is dropped."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import CommandError, call_command
from django.db import connection, models
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apikeys.description import described
from apikeys.importfile import CannotImport, rows_of
from apikeys.importing import COLUMNS, FIELDS, LIMITS
from apikeys.keys import generate
from apikeys.models import Key

SOFT_BREAKS = "\x0b\x0c\x85\u2028\u2029"
NEVER_STORED = "\0\ud800"


def imported(path: Path, content: str | bytes) -> tuple[str, str]:
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))
    out, err = StringIO(), StringIO()
    call_command("importapikeys", str(path), "--yes", stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def refusal(path: Path, content: str | bytes) -> str:
    with pytest.raises(CommandError) as error:
        imported(path, content)
    assert not Key.objects.exists()
    said = str(error.value)
    assert "\n" not in said
    return said


def exported() -> list[dict[str, Any]]:
    out = StringIO()
    call_command("listapikeys", "--json", stdout=out)
    found: list[dict[str, Any]] = json.loads(out.getvalue())
    return found


def forget_keys() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM apikeys_key")
        cursor.execute("DELETE FROM apikeys_allowance")


def test_every_field_of_the_export_is_understood() -> None:
    assert set(described(Key(), {})) <= set(FIELDS)
    plain = set(COLUMNS) - set(LIMITS) - {"key"}
    assert plain == set(described(Key(), {})) - {"limits"}


@pytest.mark.django_db
def test_an_export_read_into_an_empty_database_is_exported_alike(tmp_path: Path) -> None:
    ana = User.objects.create_user("ana")
    now = timezone.now()
    Key.objects.issue(
        label="all of it",
        owner=ana,
        team="research, élan",
        scopes="inference,keys",
        models="mistral,me/*",
        routes="ollama,/v1/*",
        addresses="192.0.2.7,2001:db8::/32",
        body_limit=1000,
        context_window="*=8192..16384,llama3=4096!",
        expires=now + timedelta(days=3),
        limits=dict.fromkeys(LIMITS, 7),
    )
    # As an older version took it.
    models.QuerySet.update(Key.objects.all(), note=f'  first line\nsecond, "line"{SOFT_BREAKS}\t ')
    Key.objects.issue(label="plain")
    for label in ("disabled", "revoked", "expired", "expired and disabled", "revoked and expired"):
        Key.objects.issue(label=label)
    Key.objects.filter(label__contains="disabled").disable()
    Key.objects.filter(label__contains="revoked").revoke()
    models.QuerySet.update(
        Key.objects.filter(label__contains="expired"), expires=now - timedelta(days=3), last_used=now
    )
    before = exported()
    assert {key["state"] for key in before} == set(Key.State.values)
    forget_keys()
    out, _ = imported(tmp_path / "keys.json", json.dumps(before))
    after = exported()
    in_order = sorted(after, key=lambda key: [each["id"] for each in before].index(key["id"]))
    assert in_order == before
    revoked = {key["id"] for key in before if key["state"] == "revoked"}
    assert revoked
    assert not revoked & {row["id"] for row in csv.DictReader(StringIO(out))}, "a revoked key has no secret to show"


@pytest.mark.django_db
def test_an_export_as_csv_is_read_alike(tmp_path: Path) -> None:
    Key.objects.issue(label="Ana", note="two\r\nlines", models="mistral,me/*", limits={"concurrency": 2})
    Key.objects.issue(label="Ben", enabled=False)
    before = exported()
    forget_keys()
    file = io.StringIO(newline="")
    writer = csv.DictWriter(file, COLUMNS)
    writer.writeheader()
    for key in before:
        flat = {name: ",".join(value) if isinstance(value, list) else value for name, value in key.items()}
        limits = flat.pop("limits")
        writer.writerow({**flat, **limits})
    imported(tmp_path / "keys.csv", file.getvalue())
    assert sorted(exported(), key=lambda key: key["id"]) == sorted(before, key=lambda key: key["id"])


@pytest.mark.django_db
def test_ids_that_are_taken_are_given_to_nobody_twice(tmp_path: Path) -> None:
    Key.objects.issue(label="Ana")
    row = exported()[0]
    _, said = imported(tmp_path / "keys.json", json.dumps([row, {**row, "label": "Ben"}]))
    assert "The ids of 2 of them are taken here" in said
    assert len({key["id"] for key in exported()}) == 3


@pytest.mark.django_db
@pytest.mark.parametrize("letter", SOFT_BREAKS)
def test_only_a_line_break_ends_a_row(tmp_path: Path, letter: str) -> None:
    imported(tmp_path / "keys.csv", f"label,note,models\r\nana,for Ana{letter}second line,mistral\r\n")
    assert [(key.label, key.note, key.models) for key in Key.objects.all()] == [
        ("ana", f"for Ana{letter}second line", "mistral")
    ]


@pytest.mark.django_db
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_quoted_cells_are_read_as_rfc_4180_has_them(tmp_path: Path, end: str) -> None:
    text = end.join(["\ufefflabel, note ,team", 'ana,"first line', 'second ""line"", of ana",', "", "ben,,x", ""])
    imported(tmp_path / "keys.csv", text)
    assert [(key.label, key.note, key.team) for key in Key.objects.order_by("pk")] == [
        ("ana", f'first line{end}second "line", of ana', ""),
        ("ben", "", "x"),
    ]


@pytest.mark.django_db
def test_a_file_whose_lines_end_with_cr_alone_is_read(tmp_path: Path) -> None:
    imported(tmp_path / "keys.csv", "label,models\rana,mistral\rben,\r")
    assert set(Key.objects.values_list("label", "models")) == {("ana", "mistral"), ("ben", "")}


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("label,Models,tokens_per_dya\ncia,mistral,1000\n", ["line 1", "'Models'", "'models'", "'tokens_per_dya'"]),
        ("label;models\ncia;mistral\n", ["line 1", "separated by commas"]),
        ("label,team\ncia,x,mistral\n", ["line 2", "3 cells for 2 columns"]),
        ("label,team,models\n\ncia,x\n", ["line 3", "'models' missing"]),
        ('label,note\n"a","b\nc"\nd\n', ["line 4", "'note' missing"]),
        ("label,team,label\na,b,c\n", ["line 1", "'label' is there 2 times"]),
        ("label,\na,b\n", ["line 1", "column 2 has no name"]),
        ("team\nx\n", ["line 1", "no column 'label'"]),
        ('label,note\n"a"b,c\n', ["line 2", "CSV"]),
        ('label,note\na,"b\n', ["line 2", "CSV"]),
        ("label,note\na,b\rc,d\n", ["line 2", "CSV"]),
        ("label,limits\na,5\n", ["line 1", "'limits'"]),
        ('label,models\na," , "\n', ["line 2", "empty item"]),
        ('label,addresses\na,","\n', ["line 2", "empty item"]),
        ("label,models\na,mis tral\n", ["line 2", "'mis tral'", "space"]),
        ("label,tokens_per_day\na,0\n", ["line 2", "tokens_per_day is 0"]),
        ("label,tokens_per_day\na,1e3\n", ["line 2", "tokens_per_day is '1e3'"]),
        ("label,tokens_per_day\na,١٢\n", ["line 2", "tokens_per_day is"]),
        (f"label,tokens_per_day\na,{'9' * 6000}\n", ["line 2", "tokens_per_day is"]),
        ("label,enabled\na,perhaps\n", ["line 2", "enabled is 'perhaps'"]),
        ("label,state\na,gone\n", ["line 2", "state is 'gone'"]),
        ("label,state,enabled\na,active,no\n", ["line 2", "enabled is false"]),
        ("label,state,expires\na,expired,2999-01-01\n", ["line 2", "no time in the past"]),
        ("label,state,revoked\na,active,2020-01-01\n", ["line 2", "revoked has a time"]),
        ("label,expires\na,2020-01-01\n", ["line 2", "not in the future"]),
        ("label,expires\na,9999-12-31T23:59:59-23:59\n", ["line 2", "expires"]),
        ("label,id\na,short\n", ["line 2", "id is 'short'"]),
        *((f"label,note,models\na,b{control}c,mistral\n", ["Row 1", "note"]) for control in "\x1c\x1d\x1e"),
        (b"label\n\xff\n", ["line 2", "UTF-8"]),
        ("label,note\na,b\0c\n", ["line 2", "note"]),
        ('[{"label":"fay","limits":[1]}]', ["Row 1", "limits is [1]"]),
        ('[{"label":"fay",\n"limits":{"tokens_per_dya":1}}]', ["Row 1", "line 1", "'tokens_per_dya'"]),
        ('[{"label":"fay"},\n\n{"label":"gus","tokens_per_dya":1}]', ["line 3", "'tokens_per_dya'", "tokens_per_day"]),
        ('[{"label":"fay","team":"a","team":"b"}]', ["line 1", "'team' is there twice"]),
        ('{"label":"fay","limits":{"concurrency":1,"concurrency":2}}', ["'concurrency' is there twice"]),
        ('{"label":"fay","limits":{"concurrency":1},"concurrency":2}', ["concurrency is given twice"]),
        ('{"label":"fay","limits":{"concurrency":true}}', ["concurrency is True"]),
        ('{"label":"fay","limits":{"concurrency":1.5}}', ["concurrency is 1.5"]),
        ('{"label":"fay","body_limit":-1}', ["body_limit is -1"]),
        ('{"label":"fay","body_limit":' + "9" * 40 + "}", ["Row 1"]),
        ('{"label":7}', ["label is 7"]),
        ('{"label":"fay","scopes":[]}', ["needs a scope"]),
        ('{"label":"fay","models":["a,b"]}', ["models has 'a,b'"]),
        ('{"label":"fay","models":["a b"]}', ["models has 'a b'"]),
        ('{"label":"fay","models":[["a"]]}', ["models has ['a']"]),
        ('{"label":"fay","models":{"a":1}}', ["models is {'a': 1}"]),
        ('{"label":"fay","expires":20301231}', ["expires is 20301231"]),
        ('{"label":"fay","legacy":"x"}', ["legacy is 'x'"]),
        ('{"label":"fay","note":"\\ud800"}', ["line 1", "note"]),
        ('{"label":"fay","note":NaN}', ["NaN"]),
        ('{"label":"fay"} []', ["line 1", "more follows"]),
        ('[{"label":"fay"}\n{"label":"gus"}]', ["line 2", "expected"]),
        ("[" * 100_000, ["nested"]),
        ('{"label":"fay","owner":"' + "ollama_" + "a" * 32 + '"}', ["no user is called a text with a key in it"]),
    ],
)
def test_what_is_not_understood_is_refused_by_name_and_line(
    tmp_path: Path, text: str | bytes, names: list[str]
) -> None:
    said = refusal(tmp_path / "keys", text)
    assert [name for name in names if name not in said] == [], said


@pytest.mark.django_db
def test_no_part_of_a_key_is_repeated(tmp_path: Path) -> None:
    secret = generate().text
    for text in (
        f"label,{secret}\na,b\n",
        f"label\na,{secret}\n",
        f"label,body_limit\na,{secret}\n",
        f"label,key\na,{secret}\n",
        f"label,id\na,{secret}\n",
        json.dumps([{"label": "a", secret: 1}]),
        json.dumps([{"label": "a", "limits": secret}]),
        json.dumps([{"label": "a", "models": {secret: 1}}]),
    ):
        assert secret[-20:] not in refusal(tmp_path / "keys", text)


words = st.text(st.sampled_from('ab,"\r\n\t;\0[]{}: \x0b\x85\u2028é\ud800') | st.characters(), max_size=12)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(LIMITS) | words, inner, max_size=3),
    max_leaves=6,
)


@given(row=st.dictionaries(st.sampled_from(FIELDS) | words, values, max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.django_db
def test_any_json_is_imported_or_refused_in_one_line(tmp_path: Path, row: dict[str, Any]) -> None:
    said = ""
    try:
        imported(tmp_path / "keys.json", json.dumps([{"label": "fay", **row}]))
    except CommandError as error:
        said = str(error)
    assert "\n" not in said


@given(text=st.lists(st.sampled_from([*COLUMNS, "x"]) | words, max_size=12).map(",".join))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@pytest.mark.django_db
def test_any_csv_is_imported_or_refused_in_one_line(tmp_path: Path, text: str) -> None:
    said = ""
    try:
        imported(tmp_path / "keys.csv", f"label,note,expires,tokens_per_day\r\n{text}")
    except CommandError as error:
        said = str(error)
    assert "\n" not in said


@given(
    st.lists(
        st.lists(
            st.text(st.characters(exclude_characters=NEVER_STORED, exclude_categories=("Cs",))), min_size=2, max_size=2
        ),
        max_size=4,
    )
)
def test_what_a_csv_writer_wrote_is_read_as_it_was(rows: list[list[str]]) -> None:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([["label", "note"], *rows])
    found = rows_of(file.getvalue().encode(), FIELDS, COLUMNS)
    assert [[row.values["label"], row.values["note"]] for row in found] == rows


def test_the_line_of_a_row_is_counted_through_quoted_cells() -> None:
    found = rows_of(b'label,note\na,"1\n2"\n\nb,c\n', FIELDS, COLUMNS)
    assert [row.line for row in found] == [2, 5]
    with pytest.raises(CannotImport):
        rows_of(b"label\na,b\n", FIELDS, COLUMNS)
