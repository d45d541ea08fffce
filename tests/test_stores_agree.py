"""Every kind of history store says what a slow one says that keeps lists of events in memory."""

from collections import defaultdict

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.vocabulary import KIND_CODE
from tests.places import DAY, event, lmdb_place, put, redis_place

KEEP_DAYS = 366


class SlowStore:
    """Lists of events by user; nothing is packed, coded or cached."""

    def __init__(self):
        self.kept = defaultdict(list)
        self.newest = self.since = None

    def append(self, events):
        latest = max(e.occurred_at for e in events)
        self.newest = latest if self.newest is None else max(self.newest, latest)
        since = self.newest - KEEP_DAYS * DAY
        self.since = since if self.since is None else max(self.since, since)
        counts = [0, 0, 0]
        seen = defaultdict(int)
        named = []
        for e in events:
            row = e[:7]
            identity = e.event_id or (row, seen[row])
            seen[row] += not e.event_id
            named.append((identity, e))
        for user in {e.user_id for e in events}:
            old = [(i, e) for i, e in self.kept[user] if e.occurred_at >= self.since]
            known = {identity for identity, _ in old}
            for identity, e in sorted(named, key=lambda pair: place_in_order(pair[1])):
                if e.user_id != user:
                    continue
                if e.occurred_at < self.since:
                    counts[2] += 1
                elif identity in known:
                    counts[1] += 1
                else:
                    counts[0] += 1
                    known.add(identity)
                    old.append((identity, e))
            self.kept[user] = old
        return tuple(counts)

    def histories(self, user):
        return sorted(
            (e.occurred_at, KIND_CODE[e.kind], e.brand_id or "", e.channel or "")
            for _, e in self.kept[user]
        )

    @property
    def rows(self):
        return sum(map(len, self.kept.values()))


def place_in_order(e):
    return e.occurred_at, KIND_CODE[e.kind]


def histories(store, users):
    records, start, end = store.histories(users)
    found = {}
    for user, s, e in zip(users, start, end, strict=True):
        rows = [
            (
                int(r["occurred_at"]),
                int(r["kind"]),
                "" if r["brand"] < 0 else store.brands.texts[r["brand"]],
                "" if r["channel"] < 0 else store.channels.texts[r["channel"]],
            )
            for r in records[s:e]
        ]
        assert [row[:2] for row in rows] == sorted(row[:2] for row in rows)
        found[user] = sorted(rows)
    return found


USERS = ["u1", "u2", "u3", "nobody"]
events = st.builds(
    event,
    st.sampled_from(USERS[:3]),
    st.integers(0, 4) | st.integers(365, 369) | st.integers(700, 1200),
    st.sampled_from(["search", "purchase"]),
    st.sampled_from(["b1", "b2", "b3", None]),
    channel=st.sampled_from(["feed", None]),
    event_id=st.sampled_from(["e1", "e2", "e3", "e4", None]),
)


@pytest.mark.needs("redis")
@settings(
    max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.lists(events, min_size=1, max_size=8), max_size=6))
def test_both_stores_say_what_a_slow_twin_says(tmp_path, redis_server, batches):
    slow = SlowStore()
    places = lmdb_place(tmp_path).another(), redis_place(redis_server, tmp_path)
    for place in places:
        place.open(keep_days=KEEP_DAYS).close()
    with (
        places[0].open(keep_days=KEEP_DAYS) as one,
        places[1].open(keep_days=KEEP_DAYS) as other,
        # It reads what another wrote.
        places[1].open(keep_days=KEEP_DAYS, write=False) as reader,
    ):
        for batch in batches:
            counts = slow.append(batch)
            expected = {user: slow.histories(user) for user in USERS}
            for store in (one, other):
                assert put(store, *batch) == counts
            for store in (one, other, reader):
                assert histories(store, USERS) == expected
                assert (store.rows, store.newest) == (slow.rows, slow.newest)
                assert store.earliest_answerable() == slow.since + 365 * DAY
                store.check_as_of(slow.since + 365 * DAY)
