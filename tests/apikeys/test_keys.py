"""The text of a key: what is one, what is not, and what is stored of it."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apikeys import keys

KEY = keys.generate()


def test_a_new_key_is_recognised() -> None:
    key = keys.generate()
    assert keys.parse(key.text) == key


def test_a_key_reads_prefix_id_secret_checksum() -> None:
    prefix, key_id, rest = KEY.text.split("_")
    assert (prefix, key_id, len(key_id), len(rest)) == ("ollama", KEY.id, 12, 43 + 6)
    assert KEY.text.replace("_", "").isalnum()
    assert KEY.text.isascii()


def test_no_two_keys_share_an_id_or_a_secret() -> None:
    made = [keys.generate() for _ in range(1000)]
    assert len({key.id for key in made}) == len({key.text.split("_")[2][:43] for key in made}) == 1000


@given(st.text())
def test_no_text_makes_the_parser_raise(text: str) -> None:
    assert keys.parse(text) is None


@given(st.text(min_size=len(KEY.text), max_size=len(KEY.text)))
def test_text_of_the_right_length_is_no_key(text: str) -> None:
    assert keys.parse(text) is None


@given(st.integers(0, len(KEY.text) - 1), st.characters())
def test_one_wrong_character_is_noticed(place: int, character: str) -> None:
    changed = KEY.text[:place] + character + KEY.text[place + 1 :]
    assert (keys.parse(changed) == KEY) is (changed == KEY.text)


@given(st.integers(0, len(KEY.text)), st.text(min_size=1, max_size=3))
def test_additions_are_noticed(place: int, more: str) -> None:
    assert keys.parse(KEY.text[:place] + more + KEY.text[place:]) is None


@given(st.integers(0, len(KEY.text) - 1), st.integers(1, 10))
def test_missing_characters_are_noticed(place: int, count: int) -> None:
    assert keys.parse(KEY.text[:place] + KEY.text[place + count :]) is None


@given(st.integers(0, len(KEY.text) - 2))
def test_swapped_neighbours_are_noticed(place: int) -> None:
    first, second = KEY.text[place], KEY.text[place + 1]
    swapped = KEY.text[:place] + second + first + KEY.text[place + 2 :]
    assert (keys.parse(swapped) is None) is (first != second)


@pytest.mark.parametrize(
    "around",
    ["{}\n", " {}", "{} ", "{},{}", "Bearer {}", "{}\0"],
    ids=["newline", "before", "after", "twice", "scheme", "nul"],
)
def test_only_the_key_itself_is_a_key(around: str) -> None:
    assert keys.parse(around.format(KEY.text, KEY.text)) is None


def test_digits_of_other_scripts_are_none() -> None:
    assert keys.parse("ollama_" + "٣" * (len(KEY.text) - 7)) is None


def test_the_checksum_is_the_crc_in_base62() -> None:
    assert keys.checksum("") == "000000"
    # CRC-32's check value, 0xCBF43926.
    number = 0
    for digit in keys.checksum("123456789"):
        number = number * 62 + keys.BASE62.index(digit)
    assert number == 0xCBF43926


def test_the_digest_is_hmac_sha256_of_the_whole_key() -> None:
    assert keys.digest(KEY.text, "pepper") == hmac.new(b"pepper", KEY.text.encode(), hashlib.sha256).digest()


def test_another_pepper_gives_another_digest() -> None:
    assert keys.digest(KEY.text, "one") != keys.digest(KEY.text, "two")


def test_the_representation_hides_the_secret() -> None:
    assert KEY.text not in repr(KEY)
    assert KEY.id in repr(KEY)


@pytest.mark.parametrize(
    "typed", [KEY.id, KEY.text, KEY.text[:-3], f"ollama_{KEY.id}_"], ids=["an id", "a key", "half a key", "a beginning"]
)
def test_an_id_is_found_in_what_people_type(typed: str) -> None:
    assert keys.find_id(typed) == KEY.id


@given(st.text())
def test_no_id_is_found_elsewhere(typed: str) -> None:
    found = keys.find_id(typed)
    assert found is None or found == typed
