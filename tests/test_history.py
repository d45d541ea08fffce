"""Packed histories: the order of events, and each identity once."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.history import (
    RECORD,
    Histories,
    merge_records,
    pack_records,
    record_ids,
    sort_records,
    unpack_records,
)
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


def packed(history):
    """A packed history as the format has it: column after column."""
    return b"".join(history[name].tobytes() for name in RECORD.names)


@given(st.lists(st.integers(0, 5), max_size=6))
def test_packed_histories_hold_column_after_column_and_give_the_records_back(sizes):
    rng = np.random.default_rng(sum(sizes))
    joined = np.frombuffer(rng.bytes(RECORD.itemsize * sum(sizes)), RECORD)
    ends = np.cumsum([0, *sizes])
    apart = [joined[a:b] for a, b in itertools.pairwise(ends)]
    found = pack_records(joined, np.array(sizes, dtype=np.int64)).tobytes()
    assert found == b"".join(map(packed, apart))
    np.testing.assert_array_equal(unpack_records(found, np.array(sizes, np.int64)), joined)


def test_histories_among_joined_records_may_repeat_and_be_empty():
    joined = np.zeros(5, RECORD)
    joined["occurred_at"] = range(5)
    start, end = np.array([3, 0, 0, 3]), np.array([5, 3, 0, 5])
    histories = Histories.of(joined, start, end)
    assert histories.events.tolist() == [2, 3, 0, 2]
    first = histories.kept.ctypes.data
    assert (histories.address - first).tolist() == [3 * RECORD.itemsize, 0, 0, 3 * RECORD.itemsize]
    assert histories.kept.tobytes() == packed(joined[:3]) + packed(joined[3:])
