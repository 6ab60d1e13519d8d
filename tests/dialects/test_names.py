"""Model names: many spellings, one model; and patterns that cover them."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxy.names import matches, readings, readings_of, same

MISTRAL = [
    "mistral",
    "mistral:latest",
    "MISTRAL",
    "Mistral:LATEST",
    "library/mistral",
    "Library/mistral:latest",
    "registry.ollama.ai/library/mistral",
    "registry.ollama.ai/library/mistral:latest",
    "REGISTRY.ollama.ai/library/mistral",
    "https://registry.ollama.ai/library/mistral:latest",
    "HTTP://registry.ollama.ai/library/mistral",
    "  mistral\t\n",
    "mistral:local",
    "mistral:LOCAL",
    "mistral:latest:local",
    "library/mistral:local",
]

NO_NAMES = [
    "",
    " ",
    ":",
    "/",
    "//",
    ":7b",
    "mistral:",
    "/mistral",
    "mistral/",
    "a//b",
    "a/b/c/d",
    "-mistral",
    ".mistral",
    "mistral:-7b",
    "mistral 7b",
    "mis\u017ftral",
    "\u212aoala",
    "m\u0131stral",
    "mistral?x=1",
    "mistral%2f",
    "../mistral",
    "..",
    "mistral\x00",
    "mistral:7b:8b",
    "m" * 81,
    "m" * 800,
]


@pytest.mark.parametrize("text", MISTRAL)
def test_every_spelling_names_the_same_model(text: str) -> None:
    assert readings(text)[0].short == "mistral:latest"
    assert not readings(text)[0].cloud
    assert same(text, "mistral")


@pytest.mark.parametrize("text", NO_NAMES)
def test_what_is_no_name_has_no_reading(text: str) -> None:
    assert readings(text) == ()


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("mistral:7b", "mistral:7b"),
        ("Me/Mine:7B-Q4_0", "me/mine:7b-q4_0"),
        ("example.com/me/mine", "example.com/me/mine:latest"),
        ("http://example.com:5000/me/mine:7b", "example.com:5000/me/mine:7b"),
        ("example.com/library/mistral", "example.com/library/mistral:latest"),
        ("llama3.2", "llama3.2:latest"),
        ("_odd", "_odd:latest"),
        ("mistral:7b:local", "mistral:7b"),
        ("localhost:11434/library/mistral", "localhost:11434/library/mistral:latest"),
    ],
)
def test_the_short_form_leaves_out_only_what_is_default(text: str, short: str) -> None:
    assert readings(text)[0].short == short
    assert same(text, short)
    assert not same(text, "mistral")


@pytest.mark.parametrize(
    "text",
    [
        "gpt-oss:cloud",
        "gpt-oss:CLOUD",
        "gpt-oss:120b-cloud",
        "gpt-oss:120b-Cloud",
        "gpt-oss:120b:cloud",
        "library/gpt-oss:cloud",
        "https://registry.ollama.ai/library/gpt-oss-cloud",
        "localhost:11434/library/gpt-oss-cloud",
        "  gpt-oss:cloud ",
    ],
)
def test_a_cloud_model_is_known_by_its_name(text: str) -> None:
    assert any(name.cloud for name in readings(text))


@pytest.mark.parametrize("text", ["cloud", "my-cloud", "cloud:7b", "cloudy:latest", "me/cloud", "gpt:cloudy"])
def test_a_name_with_cloud_in_another_place_is_local(text: str) -> None:
    assert not any(name.cloud for name in readings(text))


def test_a_source_is_also_read_as_the_tag_that_it_once_was() -> None:
    assert [name.short for name in readings("mistral:local")] == ["mistral:latest", "mistral:local"]
    assert [name.short for name in readings("mistral:cloud")] == ["mistral:cloud", "mistral:latest"]


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("*", ["mistral", "example.com/me/mine:7b"], []),
        ("mistral", ["mistral", "mistral:latest", "LIBRARY/mistral"], ["mistral:7b", "mistral-nemo", "me/mistral"]),
        ("mistral:*", ["mistral", "mistral:7b"], ["mistral-nemo", "me/mistral:7b"]),
        ("mistral*", ["mistral", "mistral:7b", "mistral-nemo:12b"], ["me/mistral"]),
        ("Mistral:7B", ["mistral:7b"], ["mistral"]),
        ("me/*", ["me/mine", "me/mine:7b"], ["mistral", "example.com/me/mine"]),
        ("registry.ollama.ai/library/mistral", ["mistral"], ["mistral:7b"]),
        ("llama3.?", ["llama3.2"], ["llama3:latest"]),
    ],
)
def test_a_pattern_covers_what_it_says(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    assert all(matches(readings(text)[0], pattern) for text in covered)
    assert not any(matches(readings(text)[0], pattern) for text in not_covered)


@given(st.text())
@example("://")
@example("a" * 10_000)
@example(":cloud")
@example(":local:cloud")
@example("-cloud:")
def test_nothing_breaks_the_reading(text: str) -> None:
    for name in readings(text):
        assert name.short == name.short.lower()
        assert same(name.short, str(name))


PART = st.from_regex(r"\A[a-z0-9_][a-z0-9_-]{0,9}\Z")
# These have meanings of their own, which other tests have.
TAG = PART.filter(lambda tag: tag not in ("cloud", "local") and not tag.endswith("-cloud"))
MODEL = PART.filter(lambda model: not model.endswith("-cloud"))


@given(PART, MODEL, TAG, st.sampled_from(["", "https://registry.ollama.ai/", "registry.ollama.ai/"]), st.booleans())
def test_a_full_name_reads_back_as_its_parts(namespace: str, model: str, tag: str, host: str, upper: bool) -> None:
    text = f"{host}{namespace}/{model}:{tag}"
    (name,) = readings(text.upper() if upper else text)
    assert (name.namespace, name.model, name.tag) == (namespace, model, tag)
    assert readings(name.short) == readings(str(name)) == (name,)


def test_a_name_of_megabytes_is_not_kept() -> None:
    readings_of.cache_clear()
    assert readings(" " * 3_000_000 + "mistral") == ()
    assert readings("x" * 701) == ()
    assert readings_of.cache_info().currsize == 0
