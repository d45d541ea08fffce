"""The event writer: each batch has its own answer, and no kill loses what was acknowledged."""

import signal
import threading
import time
from collections import Counter

import numpy as np
import pytest

from features.errors import StoreAwayError, StoreError
from serving.event_batches import build_batch
from serving.event_writer import EventWriter, StoreBusyError
from tests.places import START, days, event, rest_of, run


@pytest.fixture
def store(place):
    with place.open() as opened:
        yield opened


def batch(*events):
    return build_batch(events, "UTC")


class Gate:
    """Lets the thread of a writer run no further than a commit, until it is opened."""

    def __init__(self, store):
        self._store = store
        self.reached, self.open = threading.Event(), threading.Event()

    def commit(self, events):
        self.reached.set()
        self.open.wait(60)
        return self._store.commit(events)


def test_batches_are_stored_in_turn_and_each_has_its_own_counts(store):
    with EventWriter(store) as writer:
        futures = [
            writer.submit(batch(event(day=1, event_id="e1"), event(day=2, event_id="e2"))),
            writer.submit(batch(event(day=9, event_id="e1"), event(day=0, event_id="e3"))),
            writer.submit(batch()),
        ]
        counts = [tuple(future.result(60).appended) for future in futures]
    assert counts == [(2, 0, 0), (1, 1, 0), (0, 0, 0)]
    assert days(store) == [0, 1, 2]


def test_rows_too_old_are_named_as_the_commit_saw_them(place):
    with place.open(keep_days=400) as store, EventWriter(store) as writer:
        rows = [event(day=99), event(day=500), event(day=100), event(day=0)]
        committed = writer.submit(batch(*rows)).result(60)
    assert committed.too_old.tolist() == [0, 3]
    assert tuple(committed.appended) == (2, 0, 2)


def test_an_error_of_the_store_reaches_the_one_who_waits_and_nobody_else(place, store):
    store.close()
    with place.open(write=False) as reader:
        writer = EventWriter(reader)
        for _ in range(2):
            with pytest.raises(StoreError, match="Nothing of this batch was stored"):
                writer.submit(batch(event())).result(60)
        assert tuple(writer.submit(batch()).result(60).appended) == (0, 0, 0)
        writer.close()


class Counted(Gate):
    """Counts the commits, and fails those that hold a user's events."""

    def __init__(self, store, failing="", error=StoreError):
        super().__init__(store)
        self.sizes, self.failing, self.error = [], failing, error

    def commit(self, events):
        if self.failing in events.user_id.distinct:
            raise self.error("Nothing of this batch was stored.")
        committed = super().commit(events)
        self.sizes.append(len(events))
        return committed


def behind(gate, writer, batches):
    """Submit batches that wait together while another one is written, and open the gate."""
    futures = [writer.submit(batch())]
    gate.reached.wait(60)
    futures += [writer.submit(each) for each in batches]
    gate.open.set()
    return futures[1:]


def test_batches_that_wait_together_share_a_commit_and_each_has_its_own_counts(place):
    with place.open(keep_days=400) as store:
        gate = Counted(store)
        with EventWriter(gate) as writer:
            first = batch(event("a", 450, event_id="e1"), event("b", 450, event_id="e2"))
            again = batch(event("c", 451), event("b", 450, event_id="e2"), event("a", 0))
            futures = behind(gate, writer, [first, batch(), again, batch(event("a", 452))])
            found = [future.result(60) for future in futures]
        assert gate.sizes == [0, 6]
        assert [tuple(one.appended) for one in found] == [(2, 0, 0), (0,) * 3, (1, 1, 1), (1, 0, 0)]
        assert [one.too_old.tolist() for one in found] == [[], [], [2], []]
        assert days(store, "a") == [450, 452]


def test_a_commit_is_shared_by_no_more_events_than_one_batch_may_have(store):
    gate = Counted(store)
    with EventWriter(gate) as writer:
        sizes = (400, 600, 1, 1_000, 999, 1, 5)
        batches = [
            batch(*(event(f"{number}-{i}") for i in range(size)))
            for number, size in enumerate(sizes)
        ]
        for future, size in zip(behind(gate, writer, batches), sizes, strict=True):
            assert tuple(future.result(60).appended) == (size, 0, 0)
    assert gate.sizes == [0, 1_000, 1, 1_000, 1_000, 5]


def test_where_a_shared_commit_fails_each_batch_is_told_its_own_truth(store):
    gate = Counted(store, failing="bad")
    with EventWriter(gate) as writer:
        users = ("u1", "bad", "u2")
        good, bad, other = behind(gate, writer, [batch(event(user)) for user in users])
        assert good.result(60).appended.stored == other.result(60).appended.stored == 1
        with pytest.raises(StoreError, match="Nothing of this batch"):
            bad.result(60)
    assert gate.sizes == [0, 1, 1]


def test_where_it_is_not_known_what_was_stored_nothing_is_tried_again(store):
    gate = Counted(store, failing="bad", error=StoreAwayError)
    with EventWriter(gate) as writer:
        for future in behind(gate, writer, [batch(event("u1")), batch(event("bad"))]):
            with pytest.raises(StoreAwayError):
                future.result(60)
    assert gate.sizes == [0]


def test_a_full_writer_says_so_and_for_how_long(store):
    gate = Gate(store)
    with EventWriter(gate, most_waiting=2) as writer:
        futures = [writer.submit(batch(event(day=day))) for day in range(3)]
        gate.reached.wait(60)
        with pytest.raises(StoreBusyError) as error:
            writer.submit(batch(event(day=3)))
        assert str(error.value) == (
            "The history store is busy: 3 batches of events wait to be written. Nothing of this "
            "one was stored; send it again in 0.1 seconds."
        )
        assert error.value.wait_seconds > 0
        gate.open.set()
        for future in futures:
            assert future.result(60).appended.stored == 1
        assert writer.submit(batch(event(day=4))).result(60).appended.stored == 1
    assert days(store) == [0, 1, 2, 4]


def test_a_batch_that_is_cancelled_while_it_waits_is_not_stored_and_leaves_room(store):
    gate = Gate(store)
    with EventWriter(gate, most_waiting=1) as writer:
        first = writer.submit(batch(event(day=0)))
        gate.reached.wait(60)
        assert writer.submit(batch(event(day=1))).cancel()
        writer.submit(batch(event(day=2)))
        gate.open.set()
        first.result(60)
    assert days(store) == [0, 2]


def test_closing_finishes_what_was_taken_and_then_takes_no_more(store):
    gate = Gate(store)
    writer = EventWriter(gate)
    futures = [writer.submit(batch(event(day=day))) for day in range(5)]
    threading.Timer(0.05, gate.open.set).start()
    writer.close()
    assert all(future.done() for future in futures)
    assert days(store) == [0, 1, 2, 3, 4]
    for _ in range(100):
        with pytest.raises(StoreError, match=r"nothing of these was stored\. Send them again"):
            writer.submit(batch(event(day=9)))


def test_many_threads_may_submit(store):
    counts, mutex = Counter(), threading.Lock()
    with EventWriter(store) as writer:

        def send(own):
            for number in range(10):
                names = [f"{number}-{i}" for i in range(5)]
                rows = [event(f"u{name}", event_id=name) for name in names]
                found = writer.submit(batch(*rows, event(own, number))).result(60).appended
                with mutex:
                    counts.update(found._asdict())

        threads = [threading.Thread(target=send, args=(f"own{i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts == {"stored": 50 + 40, "repeated": 150, "too_old": 0}
    assert store.rows == 90


SENDER = """
    from serving.event_writer import EventWriter
    with opened(write=True) as store:
        writer = EventWriter(store)
        def send(number):
            events = [Event(f"u{number % 3}-{i}", "search", START + number, "b1",
                            event_id=f"{number}-{i}") for i in range(40)]
            return number, writer.submit(build_batch(events, "UTC"))
        number, waiting = int(arguments[0]), []
        while True:
            waiting.append(send(number))
            number += 1
            if len(waiting) == 5:
                done, future = waiting.pop(0)
                print(done, *future.result().appended, flush=True)
"""


@pytest.mark.fault
def test_no_acknowledged_event_is_lost_by_a_kill_and_none_is_counted_twice(place):
    begin, stored = 0, 0
    for kills, lines in enumerate((2, 5, 9, 14, 20), start=1):
        sender = run(SENDER, place, begin)
        heard = [sender.stdout.readline() for _ in range(lines)]
        time.sleep(0.004 * kills)
        sender.send_signal(signal.SIGKILL)
        heard += rest_of(sender).splitlines(keepends=True)
        answers = [[int(n) for n in line.split()] for line in heard if line.endswith("\n")]
        # The last kill left some batches stored, unacknowledged: sent again, they are repeats.
        numbers = [number for number, *_ in answers]
        assert numbers == list(range(begin, begin + len(numbers)))
        assert all((new, repeated) in ((40, 0), (0, 40)) for _, new, repeated, _ in answers)
        stored = numbers[-1] + 1
        with place.open(write=False) as store:
            records, _, _ = store.histories([f"u{i}-{j}" for i in range(3) for j in range(40)])
            found, counts = np.unique(records["occurred_at"] - START, return_counts=True)
            assert set(counts) == {40}
            assert found.tolist() == list(range(len(found)))
            # At most what was on its way is there without its acknowledgement.
            assert 0 <= len(found) - stored <= 5
            assert store.rows == len(records)
        # Once more what is known to be there, as a sender does that heard nothing.
        begin = max(stored - 2, 0)
