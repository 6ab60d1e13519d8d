"""The operator's pages, without a browser: what they show, and who may do what."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.contrib.sessions.models import Session
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from apikeys import keys
from apikeys.admin import KeyAdmin
from apikeys.models import Key

pytestmark = pytest.mark.django_db

LIST = "/admin/apikeys/key/"
ADD = "/admin/apikeys/key/add/"
SECRET = re.compile(r"ollama_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}")


def page(key: Key, what: str = "change") -> str:
    return reverse(f"admin:apikeys_key_{what}", args=[key.pk])


def issue(client: Client, label: str = "Ana", **fields: str) -> str:
    response = client.post(ADD, {"label": label, "expires_0": "", "expires_1": "", **fields})
    found = set(SECRET.findall(response.content.decode()))
    assert len(found) == 1, response.content.decode()
    return found.pop()


@pytest.fixture
def staff() -> User:
    return User.objects.create_user("ben", password="x", is_staff=True)


def allow(user: User, *permissions: str) -> Client:
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client = Client()
    client.force_login(user)
    return client


# Issuing


def test_issuing_shows_the_secret_with_a_command_to_try_it(admin_client: Client) -> None:
    response = admin_client.post(ADD, {"label": "Ana", "expires_0": "", "expires_1": ""})
    text = response.content.decode()
    secret = SECRET.search(text)[0]
    key = Key.objects.get()
    assert keys.parse(secret).id == key.key_id
    assert key.created_by.username == "admin"
    assert "curl" in text
    assert "http://testserver/api/v1/generate" in text
    assert "no-store" in response["Cache-Control"]


def test_the_secret_is_on_no_other_page_and_in_no_table(admin_client: Client) -> None:
    proof = issue(admin_client).split("_")[2]
    key = Key.objects.get()
    for url in (LIST, page(key), page(key, "history"), page(key, "revoke"), "/admin/", ADD):
        assert proof not in admin_client.get(url).content.decode(), url
    assert proof not in str([session.get_decoded() for session in Session.objects.all()])
    assert proof not in str(list(LogEntry.objects.values()))
    assert proof not in str(admin_client.cookies)
    assert key.digest not in admin_client.get(page(key)).content.decode()


def test_a_key_that_is_good_for_nothing_is_not_said_to_be_good_for_anything(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana", models="mistral")
    assert "May use mistral, from anywhere." in admin_client.get(page(key)).content.decode()
    Key.objects.disable()
    said = admin_client.get(page(key)).content.decode()
    assert "Nothing, since it is disabled. It was given: use mistral, from anywhere." in said


@pytest.mark.parametrize(
    ("fields", "shown", "model"),
    [
        ({}, ["curl", "OpenAI SDK", "ollama CLI"], "mistral"),
        ({"models": "llama3*,phi3:mini"}, ["curl", "OpenAI SDK", "ollama CLI"], "phi3:mini"),
        ({"models": "mis*", "routes": "openai"}, ["OpenAI SDK"], "mistral"),
        ({"routes": "/api/*"}, ["curl", "ollama CLI"], "mistral"),
        ({"scopes": "metrics"}, [], ""),
    ],
)
def test_what_is_there_to_paste_works_with_this_key(
    admin_client: Client, fields: dict[str, str], shown: list[str], model: str
) -> None:
    text = admin_client.post(ADD, {"label": "Ana", "expires_0": "", "expires_1": "", **fields}).content.decode()
    assert re.findall(r"Try it: ([\w ]+)</h2>", text) == shown
    if "OpenAI SDK" in shown:
        assert f"model=&quot;{model}&quot;" in text


def test_the_page_that_shows_the_secret_needs_nothing_from_elsewhere(admin_client: Client) -> None:
    response = admin_client.post(ADD, {"label": "Ana", "expires_0": "", "expires_1": ""})
    sources = re.findall(r'(?:src|href)="([^"]+)"', response.content.decode())
    assert sources
    assert all(source.startswith(("/", "#")) for source in sources)


def test_a_label_is_shown_as_text(admin_client: Client) -> None:
    label = "<script>alert(1)</script>"
    response = admin_client.post(ADD, {"label": label, "expires_0": "", "expires_1": ""})
    assert label not in response.content.decode()
    assert label not in admin_client.get(LIST).content.decode()


def test_a_key_can_be_given_an_end(admin_client: Client) -> None:
    issue(admin_client, expires_0="2999-12-31", expires_1="12:00:00")
    assert f"{Key.objects.get().expires:%Y-%m-%d %H:%M}" == "2999-12-31 12:00"


@pytest.mark.parametrize(
    "fields",
    [{"label": ""}, {"label": "late", "expires_0": "2001-01-01", "expires_1": "0:00"}],
    ids=["no label", "the past"],
)
def test_a_wrong_form_issues_nothing(admin_client: Client, fields: dict[str, str]) -> None:
    response = admin_client.post(ADD, {"expires_0": "", "expires_1": "", **fields})
    assert "errornote" in response.content.decode()
    assert not Key.objects.exists()


def test_fields_that_are_not_asked_for_are_not_taken(admin_client: Client) -> None:
    issue(admin_client, digest="00" * 32, key_id="chosen", revision="7", revoked_at="2030-01-01")
    key = Key.objects.get()
    assert key.key_id != "chosen"
    assert key.digest != "00" * 32
    assert key.state == "active"


# The list


def test_the_list_shows_each_key_with_its_state(admin_client: Client) -> None:
    active, _ = Key.objects.issue(label="Ana")
    expired, _ = Key.objects.issue(label="Ben")
    Key.objects.filter(pk=expired.pk).update(expires=timezone.now() - timedelta(days=1))
    revoked, _ = Key.objects.issue(label="Cleo")
    revoked.revoke()
    text = admin_client.get(LIST).content.decode()
    for key in (active, expired, revoked):
        assert key.label in text
        assert key.key_id in text
    assert re.findall(r'class="key-state [^"]+">(\w+)<', text) == ["revoked", "expired", "active"]


@pytest.mark.parametrize("by", ["label", "key_id"])
def test_keys_are_found_by_label_and_id(admin_client: Client, by: str) -> None:
    wanted, _ = Key.objects.issue(label="needle")
    other, _ = Key.objects.issue(label="hay")
    text = admin_client.get(LIST, {"q": getattr(wanted, by)}).content.decode()
    assert wanted.key_id in text
    assert other.key_id not in text


def test_the_list_costs_the_same_however_many_keys(admin_client: Client, django_assert_max_num_queries: object) -> None:
    user = User.objects.get()
    for number in range(30):
        Key.objects.issue(label=str(number), created_by=user)
    with django_assert_max_num_queries(9):
        admin_client.get(LIST)


# Changing


def test_label_and_end_can_be_changed(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    admin_client.post(page(key), {"label": "Anna", "expires_0": "2999-01-01", "expires_1": "0:00"})
    key.refresh_from_db()
    assert (key.label, key.expires.year) == ("Anna", 2999)


def test_a_revoked_key_can_only_be_looked_at(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    key.revoke()
    text = admin_client.get(page(key)).content.decode()
    assert 'name="label"' not in text
    assert "/revoke/" not in text
    assert admin_client.post(page(key), {"label": "new", "expires_0": "", "expires_1": ""}).status_code == 403
    assert admin_client.get(page(key, "revoke")).status_code == 403


def test_a_key_revoked_while_its_form_was_being_sent_stays_revoked(
    admin_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    key, _ = Key.objects.issue(label="Ana")
    save_form = KeyAdmin.save_form

    def revoke_first(*arguments: object, **named: object) -> Key:
        Key.objects.filter(pk=key.pk).revoke()
        return save_form(*arguments, **named)

    monkeypatch.setattr(KeyAdmin, "save_form", revoke_first)
    response = admin_client.post(page(key), {"label": "new", "expires_0": "", "expires_1": ""}, follow=True)
    key.refresh_from_db()
    assert key.label == "Ana"
    assert "stays as it is" in response.content.decode()


# Revoking


def test_revoking_asks_first(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    assert page(key, "revoke") in admin_client.get(page(key)).content.decode()
    asked = admin_client.get(page(key, "revoke")).content.decode()
    assert "for good" in asked
    assert key.key_id in asked
    key.refresh_from_db()
    assert key.state == "active"


def test_a_confirmed_revocation_is_done_and_remembered(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    response = admin_client.post(page(key, "revoke"), {"confirmed": "yes"}, follow=True)
    key.refresh_from_db()
    assert key.state == "revoked"
    assert "Revoked Ana" in response.content.decode()
    assert LogEntry.objects.get().change_message == "Revoked."


def test_many_keys_are_revoked_after_one_question(admin_client: Client) -> None:
    chosen = [Key.objects.issue(label=label)[0] for label in ("Ana", "Ben")]
    kept, _ = Key.objects.issue(label="Cleo")
    form = {"action": "revoke", "_selected_action": [key.pk for key in chosen]}
    asked = admin_client.post(LIST, form).content.decode()
    assert "Revoke 2 keys" in asked
    assert Key.objects.usable().count() == 3
    answer = dict(re.findall(r'<input type="hidden" name="(\w+)" value="(\w+)">', asked))
    answer["_selected_action"] = re.findall(r'name="_selected_action" value="(\w+)"', asked)
    admin_client.post(LIST, answer)
    assert list(Key.objects.usable()) == [kept]


def test_all_keys_of_all_pages_can_be_chosen(admin_client: Client) -> None:
    issued = [Key.objects.issue(label=str(number))[0] for number in range(25)]
    form = {"action": "revoke", "select_across": "1", "_selected_action": [issued[0].pk]}
    asked = admin_client.post(LIST, form).content.decode()
    assert "Revoke 25 keys" in asked
    assert "and 5 more" in asked
    admin_client.post(LIST, {**form, "confirmed": "yes"})
    assert not Key.objects.usable().exists()


def test_keys_revoked_before_are_not_asked_about_again(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    key.revoke()
    form = {"action": "revoke", "_selected_action": [key.pk]}
    assert "revoked already" in admin_client.post(LIST, form, follow=True).content.decode()


def test_the_page_of_no_key_is_404(admin_client: Client) -> None:
    assert admin_client.get(f"{LIST}999/revoke/").status_code == 404


# Who may


def test_nobody_deletes(admin_client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    assert admin_client.post(page(key, "delete"), {"post": "yes"}).status_code == 403
    assert "delete_selected" not in admin_client.get(LIST).content.decode()
    assert not Permission.objects.filter(codename="delete_key").exists()
    assert Key.objects.exists()


def test_staff_who_may_view_can_neither_issue_nor_revoke(staff: User) -> None:
    key, _ = Key.objects.issue(label="Ana")
    client = allow(staff, "view_key")
    assert client.get(LIST).status_code == 200
    text = client.get(page(key)).content.decode()
    assert 'name="label"' not in text
    assert "/revoke/" not in text
    assert 'value="revoke"' not in client.get(LIST).content.decode()
    assert client.get(ADD).status_code == 403
    assert client.post(ADD, {"label": "x", "expires_0": "", "expires_1": ""}).status_code == 403
    assert client.get(page(key, "revoke")).status_code == 403
    assert client.post(page(key, "revoke"), {"confirmed": "yes"}).status_code == 403
    client.post(LIST, {"action": "revoke", "_selected_action": [key.pk], "confirmed": "yes"})
    assert list(Key.objects.usable()) == [key]


def test_staff_who_may_issue_cannot_revoke(staff: User) -> None:
    client = allow(staff, "add_key", "view_key")
    issue(client)
    key = Key.objects.get()
    assert key.created_by == staff
    assert client.post(page(key, "revoke"), {"confirmed": "yes"}).status_code == 403


def test_staff_without_permission_see_nothing(staff: User) -> None:
    key, _ = Key.objects.issue(label="Ana")
    client = allow(staff)
    for url in (LIST, ADD, page(key), page(key, "revoke")):
        assert client.get(url).status_code == 403


def test_a_stranger_is_sent_to_the_login(client: Client) -> None:
    key, _ = Key.objects.issue(label="Ana")
    for url in (LIST, ADD, page(key), page(key, "revoke")):
        assert client.get(url)["Location"].startswith("/admin/login/")


def test_a_forged_form_is_refused(admin_user: User) -> None:
    key, _ = Key.objects.issue(label="Ana")
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user)
    assert client.post(page(key, "revoke"), {"confirmed": "yes"}).status_code == 403
    assert client.post(ADD, {"label": "x", "expires_0": "", "expires_1": ""}).status_code == 403


# Lookups that a list is narrowed down by, whoever writes the address


@pytest.mark.parametrize("lookup", ["digest__startswith=a", "old_digest__gt=a", "digest=a"])
def test_no_list_is_narrowed_down_by_what_it_never_shows(admin_client: Client, lookup: str) -> None:
    Key.objects.issue(label="Ana")
    assert admin_client.get(f"{LIST}?{lookup}").status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        f"{LIST}?label__regex=^(.|.)*!$",
        f"{LIST}?owner__username__iregex=a",
        "/admin/auth/user/?username__regex=a",
        "/admin/auth/group/?name__iregex=a",
        "/admin/apikeys/auditentry/?actor__regex=a",
        "/admin/apikeys/auditentry/export.csv?actor__regex=a",
        "/admin/apikeys/attemptcount/?address__regex=a",
        "/admin/usage/usagerecord/?model__regex=a",
    ],
)
def test_no_regular_expression_of_a_query_reaches_the_database(admin_client: Client, address: str) -> None:
    assert admin_client.get(address).status_code == 400


@pytest.mark.parametrize(
    "address", [f"{LIST}?q=", "/admin/auth/user/?q=", "/admin/search/?s=", "/admin/auth/group/?q="]
)
def test_a_search_for_more_words_than_a_database_takes_is_refused(admin_client: Client, address: str) -> None:
    assert admin_client.get(address + "+".join(["a"] * 50)).status_code == 200
    assert admin_client.get(address + "+".join(["a"] * 1001)).status_code == 400


@pytest.mark.parametrize(
    "lookup",
    [
        "created__year=10000",
        "created__year__gte=99999999999",
        "created__iso_year=10000",
        "created__gte=9999-12-31T23:59:59-12:00",
        "owner__id__in=" + "9" * 30,
        "id__range=1",
        "label__contains=a",
    ],
)
def test_no_lookup_but_those_of_the_filters_is_taken(admin_client: Client, lookup: str) -> None:
    Key.objects.issue(label="Ana")
    assert admin_client.get(f"{LIST}?{lookup}").status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        *(f"{LIST}?{query}" for query in ("state=active&owner=1&team=x&model=m", "state=legacy&q=Ana&o=1&p=1")),
        "/admin/auth/user/?is_staff__exact=1&is_superuser__exact=0&is_active__exact=1&groups__id__exact=1",
        "/admin/apikeys/auditentry/?action__exact=issued",
        "/admin/usage/usagerecord/?status=failed&day=2026-01-01&error=x&model=m&team=x&owner=1",
    ],
)
def test_the_filters_of_the_lists_work(admin_client: Client, address: str) -> None:
    Key.objects.issue(label="Ana")
    assert admin_client.get(address).status_code == 200
