"""Merging many users at once is merging each of them alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.history import RECORD, merge_records
from features.vocabulary import KIND_CODE
from serving.event_batches import build_batch
from serving.merged_histories import merge_users
from tests.places import event
from tests.random_logs import DAY, START
from tests.test_history import packed

identities = st.sampled_from(["i1", "i2", "i3", "i4"])
some_events = st.lists(
    st.builds(
        event,
        st.sampled_from(["u1", "u2"]),
        st.integers(0, 3),
        kind=st.sampled_from(["search", "like"]),
        event_id=identities | st.none(),
    )
)


class PlainHistories:
    """Two users' events by identity, merged one at a time."""

    def __init__(self):
        self.events = [{}, {}]

    def add(self, rows, since):
        """Take (row, user, record) in; return the rows that were stored and that are too old."""
        for held in self.events:
            for key in [key for key, record in held.items() if record["occurred_at"] < since]:
                del held[key]
        stored, too_old = [], []
        for row, user, record in sorted(rows, key=lambda r: (r[2]["occurred_at"], r[2]["kind"])):
            key = record["id_high"], record["id_low"]
            if record["occurred_at"] < since:
                too_old.append(row)
            elif key not in self.events[user]:
                self.events[user][key] = record
                stored.append(row)
        return stored, sorted(too_old)

    def packed(self, user):
        held = np.array([*self.events[user].values()], dtype=RECORD)
        return packed(merge_records(held[:0], held))


@settings(max_examples=100)
@given(st.lists(st.tuples(some_events, st.integers(-1, 3)), max_size=4))
def test_many_users_at_once_merge_as_one_event_after_another(batches):
    together, plain, since = [b"", b""], PlainHistories(), START
    for events, days in batches:
        if not events:
            continue
        since = max(since, START + days * DAY)
        whose = np.array([int(e.user_id == "u2") for e in events])
        records = np.zeros(len(events), RECORD)
        records["occurred_at"] = [e.occurred_at for e in events]
        records["kind"] = [KIND_CODE[e.kind] for e in events]
        records["id_high"], records["id_low"] = build_batch(events, "UTC").identity.T
        before = sum(map(len, together))
        merged = merge_users(together, records, whose, since)
        changed = dict(merged.histories)
        for number, history in changed.items():
            together[number] = bytes(history)
        rows = list(zip(range(len(events)), whose.tolist(), records, strict=True))
        stored, too_old = plain.add(rows, since)
        assert together == [plain.packed(0), plain.packed(1)]
        assert merged.committed.too_old.tolist() == too_old
        appended = merged.committed.appended
        assert appended == (len(stored), len(events) - len(stored) - len(too_old), len(too_old))
        assert merged.growth * RECORD.itemsize == sum(map(len, together)) - before


def test_a_history_that_nothing_changes_is_not_written_again():
    records = np.zeros(2, RECORD)
    records["id_low"] = [7, 8]
    users = np.array([0, 1])
    first = dict(merge_users([b"", b""], records, users, None).histories)
    assert [*first] == [0, 1]
    again = merge_users([bytes(first[0]), bytes(first[1])], records[:1], users[:1], None)
    assert dict(again.histories) == {}
    assert again.committed.appended == (0, 1, 0)
