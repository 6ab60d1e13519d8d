"""When a key was last used: it comes with the account, in bulk, and is no change to the key."""

from __future__ import annotations

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from apikeys.models import Key, KeyRevision
from tests.usage.journals import ended
from usage.applying import store
from usage.lines import read

pytestmark = pytest.mark.django_db
AT = 1_770_000_000


def use(*uses: tuple[Key, float]) -> None:
    store([read(orjson.dumps(ended(f"{number:024x}", key=key.key_id, at=at))) for number, (key, at) in enumerate(uses)])


def last_used(key: Key) -> float | None:
    key.refresh_from_db()
    return key.last_used.timestamp() if key.last_used else None


def test_it_is_the_end_of_the_latest_call_that_is_recorded() -> None:
    ana, ben = (Key.objects.issue(label=name)[0] for name in ("Ana", "Ben"))
    assert last_used(ana) is None
    use((ana, AT + 5), (ana, AT + 9), (ana, AT + 7))
    assert (last_used(ana), last_used(ben)) == (AT + 9, None)


def test_what_is_replayed_late_does_not_turn_it_back() -> None:
    key, _ = Key.objects.issue(label="Ana")
    use((key, AT + 100))
    use((key, AT))
    assert last_used(key) == AT + 100


def test_a_batch_is_one_statement_and_no_change() -> None:
    issued = [Key.objects.issue(label=str(number))[0] for number in range(10)]
    revision = KeyRevision.seen()
    with CaptureQueriesContext(
        connection,
    ) as queries:
        use(*((key, AT + number) for number, key in enumerate(issued)))
    assert sum('UPDATE "apikeys_key"' in query["sql"] for query in queries.captured_queries) == 1
    assert [last_used(key) for key in issued] == [AT + number for number in range(10)]
    assert KeyRevision.seen() == revision


def test_a_revoked_key_keeps_its_last_use() -> None:
    key, _ = Key.objects.issue(label="Ana")
    key.revoke()
    use((key, AT))
    assert last_used(key) == AT
    assert key.state == "revoked"
