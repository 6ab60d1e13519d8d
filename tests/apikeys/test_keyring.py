"""The keys in memory: found by id and digest, in equal time, until they expire."""

from __future__ import annotations

import sys
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from apikeys.keyring import Entry, Found, KeyRing, Old
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
    assert ring().find(ANA.key_id, [ONE], now=0) == Found(ANA, 0)


def test_a_known_id_with_another_secret_is_nobody() -> None:
    assert ring().find(ANA.key_id, [TWO], now=0) is None


def test_an_unknown_id_is_nobody() -> None:
    assert ring().find("nobodynobody", [ONE], now=0) is None


def test_a_digest_of_nothing_but_zeros_is_nobody() -> None:
    assert ring().find("nobodynobody", [bytes(32)], now=0) is None


def test_a_key_is_refused_from_the_moment_it_expires() -> None:
    assert ring().find(BEN.key_id, [TWO], now=99.999) == Found(BEN, 0)
    assert ring().find(BEN.key_id, [TWO], now=100) is None


def test_an_unknown_id_is_compared_as_a_known_one_is(monkeypatch: object) -> None:
    compared = []

    def record(a: bytes, b: bytes) -> bool:
        compared.append((len(a), b))
        return a == b

    made = ring()
    monkeypatch.setattr("apikeys.keyring.hmac.compare_digest", record)  # type: ignore[attr-defined] # a fixture
    made.find(ANA.key_id, [TWO], now=0)
    made.find("nobodynobody", [TWO], now=0)
    assert compared == [(32, TWO)] * 4


def test_a_dropped_key_is_gone_and_may_be_dropped_again() -> None:
    made = ring()
    made.drop(ANA.key_id)
    made.drop(ANA.key_id)
    assert made.find(ANA.key_id, [ONE], now=0) is None
    assert ANA.key_id not in made
    assert len(made) == 1


def test_replacing_forgets_what_was_there() -> None:
    made = ring()
    made.replace([Entry(TWO, BEN)])
    assert ANA.key_id not in made
    assert made.find(BEN.key_id, [TWO], now=0) == Found(BEN, 0)


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
            assert (made.find(key_id, [digest], now=0) is not None) is (expected.get(key_id) == digest)


def rotated(*, legacy: bool = False) -> KeyRing:
    """Ana's second secret is TWO; her first, ONE, is good until 50."""
    made = KeyRing()
    old = Old(ONE, replace(ANA, expires_at=50.0))
    made.put(Entry(TWO, replace(ANA, secret_number=2), old, legacy))
    return made


def test_both_secrets_are_good_until_the_grace_ends() -> None:
    made = rotated()
    assert made.find(ANA.key_id, [TWO], now=100).principal.secret_number == 2
    assert made.find(ANA.key_id, [ONE], now=49.9).principal.secret_number == 1
    assert made.find(ANA.key_id, [ONE], now=50) is None


def test_an_earlier_principal_is_told_what_its_secret_may_do_now() -> None:
    made = rotated()
    assert made.current(ANA).expires_at == 50
    assert made.current(replace(ANA, secret_number=2)).expires_at is None
    assert made.current(replace(ANA, secret_number=3)) is None
    made.put(Entry(TWO, replace(ANA, secret_number=2)))
    assert made.current(ANA) is None
    made.drop(ANA.key_id)
    assert made.current(replace(ANA, secret_number=2)) is None


def test_a_digest_under_an_older_pepper_is_found_and_said_to_be_one() -> None:
    assert ring().find(ANA.key_id, [bytes(32), ONE], now=0) == Found(ANA, 1)
    assert ring().find(ANA.key_id, [bytes(32), TWO], now=0) is None


def test_a_legacy_secret_is_found_by_its_digest_alone() -> None:
    made = KeyRing()
    made.replace([Entry(ONE, ANA, legacy=True), Entry(TWO, BEN)])
    assert made.find_legacy([ONE], now=0) == Found(ANA, 0)
    assert made.find_legacy([TWO], now=0) is None
    made.drop(ANA.key_id)
    assert made.find_legacy([ONE], now=0) is None
    made.put(Entry(ONE, ANA, legacy=True))
    assert made.find_legacy([bytes(32), ONE], now=0) == Found(ANA, 1)


def test_a_legacy_secret_that_was_replaced_is_good_in_its_grace_alone() -> None:
    made = rotated(legacy=True)
    assert made.find_legacy([ONE], now=49).principal.key_id == ANA.key_id
    assert made.find_legacy([ONE], now=50) is None
    # The secret that replaced it has an id, and is found by that.
    assert made.find_legacy([TWO], now=0) is None


def test_a_principal_is_small() -> None:
    # 100,000 of them share a process with everything else.
    assert sys.getsizeof(ANA) <= 128
    assert not hasattr(ANA, "__dict__")
