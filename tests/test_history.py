"""Packed histories: the order of events, and each identity once."""

import numpy as np
import pytest

from features.history import RECORD, merge_records, record_ids, sort_records
from features.vocabulary import KIND_CODE


def records(*rows):
    """Records of (identity, instant, kind), each with its place as its value."""
    made = np.zeros(len(rows), RECORD)
    made["occurred_at"] = [at for _, at, _ in rows]
    made["kind"] = [KIND_CODE[kind] for *_, kind in rows]
    made["value_micros"] = range(len(rows))
    if rows:
        made["id_high"], made["id_low"] = record_ids([name for name, *_ in rows]).T
    return made


def instants(history):
    return history["occurred_at"].tolist()


def test_events_stand_by_instant_then_kind_then_identity():
    made = records(("c", 2, "search"), ("b", 1, "purchase"), ("a", 1, "search"), ("d", 1, "search"))
    in_order = sort_records(made)
    assert in_order["occurred_at"].tolist() == [1, 1, 1, 2]
    assert in_order["kind"].tolist() == [
        KIND_CODE[k] for k in ["search", "search", "purchase", "search"]
    ]
    ids = in_order[["id_high", "id_low"]][:2].tolist()
    assert ids == sorted(ids)
    np.testing.assert_array_equal(sort_records(made[::-1]), in_order)


def test_the_old_record_of_an_identity_stays():
    old = records(("a", 5, "search"))
    merged = merge_records(old, records(("a", 1, "purchase"), ("b", 2, "like")))
    assert instants(merged) == [2, 5]
    np.testing.assert_array_equal(merged[1:], old)


@pytest.mark.parametrize("turned", [1, -1])
def test_of_new_records_with_one_identity_the_first_in_the_order_of_events_stays(turned):
    new = records(("a", 7, "like"), ("a", 3, "purchase"), ("a", 3, "search"), ("b", 1, "like"))
    merged = merge_records(records(), new[::turned])
    assert merged["value_micros"].tolist() == [3, 2]


def test_an_identity_in_two_batches_at_once_counts_once():
    once = records(("a", 7, "like"), ("b", 3, "like"))
    np.testing.assert_array_equal(
        merge_records(once, np.concatenate([once, once])), sort_records(once)
    )
    assert len(merge_records(records(), records())) == 0
