"""Merging many users at once is merging each of them alone."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from features.history import RECORD, merge_records
from serving.event_batches import build_batch
from serving.merging import merge_users
from tests.places import event
from tests.test_history import packed

identities = st.sampled_from(["i1", "i2", "i3", "i4"])
some_events = st.lists(
    st.builds(
        event, st.sampled_from(["u1", "u2"]), st.integers(0, 3), event_id=identities | st.none()
    )
)


@settings(max_examples=60)
@given(st.lists(some_events, max_size=4))
def test_many_users_at_once_merge_as_one_user_alone(batches):
    together, alone = [b"", b""], [np.empty(0, RECORD)] * 2
    for events in filter(None, batches):
        whose = np.array([int(e.user_id == "u2") for e in events])
        records = np.zeros(len(events), RECORD)
        records["occurred_at"] = [e.occurred_at for e in events]
        records["id_high"], records["id_low"] = build_batch(events, "UTC").identity.T
        for number, history in merge_users(together, records, whose, None).histories:
            together[number] = bytes(history)
        arrival = np.argsort(records["occurred_at"], kind="stable")
        for number in (0, 1):
            own = records[arrival][whose[arrival] == number]
            alone[number] = merge_records(alone[number], own)
    assert together == [packed(history) for history in alone]
