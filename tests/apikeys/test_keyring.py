"""The keys in memory: found by id and digest, in equal time, until they expire."""

from __future__ import annotations

import sys

from hypothesis import given
from hypothesis import strategies as st

from apikeys.keyring import Entry, KeyRing
from apikeys.principal import Principal

ANA = Principal("anasanasanas", "Ana")
BEN = Principal("bensbensbens", "Ben", expires_at=100.0)
ONE, TWO = b"1" * 32, b"2" * 32


def ring() -> KeyRing:
    made = KeyRing()
    made.put(Entry(ONE, ANA))
    made.put(Entry(TWO, BEN))
    return made


def test_a_key_is_found_by_id_and_digest() -> None:
    assert ring().find(ANA.key_id, ONE, now=0) is ANA


def test_a_known_id_with_another_secret_is_nobody() -> None:
    assert ring().find(ANA.key_id, TWO, now=0) is None


def test_an_unknown_id_is_nobody() -> None:
    assert ring().find("nobodynobody", ONE, now=0) is None


def test_a_digest_of_nothing_but_zeros_is_nobody() -> None:
    assert ring().find("nobodynobody", bytes(32), now=0) is None


def test_a_key_is_refused_from_the_moment_it_expires() -> None:
    assert ring().find(BEN.key_id, TWO, now=99.999) is BEN
    assert ring().find(BEN.key_id, TWO, now=100) is None


def test_an_unknown_id_is_compared_as_a_known_one_is(monkeypatch: object) -> None:
    compared = []

    def record(a: bytes, b: bytes) -> bool:
        compared.append((len(a), b))
        return a == b

    made = ring()
    monkeypatch.setattr("apikeys.keyring.hmac.compare_digest", record)  # type: ignore[attr-defined] # a fixture
    made.find(ANA.key_id, TWO, now=0)
    made.find("nobodynobody", TWO, now=0)
    assert compared == [(32, TWO), (32, TWO)]


def test_a_dropped_key_is_gone_and_may_be_dropped_again() -> None:
    made = ring()
    made.drop(ANA.key_id)
    made.drop(ANA.key_id)
    assert made.find(ANA.key_id, ONE, now=0) is None
    assert ANA.key_id not in made
    assert len(made) == 1


def test_replacing_forgets_what_was_there() -> None:
    made = ring()
    made.replace([Entry(TWO, BEN)])
    assert ANA.key_id not in made
    assert made.find(BEN.key_id, TWO, now=0) is BEN


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([ONE, TWO, None]))))
def test_the_ring_holds_what_a_dictionary_would(steps: list[tuple[str, bytes | None]]) -> None:
    made, expected = KeyRing(), {}
    for key_id, digest in steps:
        if digest is None:
            made.drop(key_id)
            expected.pop(key_id, None)
        else:
            made.put(Entry(digest, Principal(key_id, key_id)))
            expected[key_id] = digest
    for key_id in "abc":
        for digest in (ONE, TWO):
            assert (made.find(key_id, digest, now=0) is not None) is (expected.get(key_id) == digest)


def test_a_principal_is_small() -> None:
    # 100,000 of them share a process with everything else.
    assert sys.getsizeof(ANA) <= 128
    assert not hasattr(ANA, "__dict__")
