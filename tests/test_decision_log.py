"""The decision log: whole lines in files of a day, pseudonyms, and a caller who never waits."""

import json
import math
import multiprocessing
import os
import re
import stat
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ConfigError
from features.instants import read_instant
from serving.daily_lines import DailyLines
from serving.decision_log import Decision, DecisionLog, secret_path
from serving.pseudonyms import Pseudonyms, open_pseudonyms, read_pseudonyms

NOON = read_instant("2025-06-30T12:00:00Z", "UTC")
DAY = 86_400_000_000


def decision(number=0, users=("u1", "u2"), at=NOON, **columns):
    n = len(users)
    return Decision(
        at, f"r-{number}", "release-1", at - 5, list(users), ["ok"] * n,
        {"brand": ["b1"] * n, "horizon": [30] * n, "p_purchase": [0.25] * n, "bid": [1.5] * n}
        | columns,
        {"cost_per_order": 6.0, "pacing": 1.0},
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "decisions"


def lines(folder, name="*"):
    return [
        json.loads(line)
        for path in sorted(folder.glob(name))
        for line in path.read_text(encoding="ascii").splitlines()
    ]


@pytest.fixture
def stuck(folder, monkeypatch):
    """A log whose disk takes nothing until the event is set."""
    let_go = threading.Event()
    append = DailyLines.append

    def slow(self, day, line):
        let_go.wait(30)
        append(self, day, line)

    monkeypatch.setattr(DailyLines, "append", slow)
    log = DecisionLog(folder, "w1", most_waiting=6)
    yield log, let_go
    let_go.set()
    log.close()


# --- lines ---------------------------------------------------------------------------------------


def test_a_decision_is_a_line_of_json_with_all_that_settling_needs(folder):
    log = DecisionLog(folder, "w1")
    assert log.add(decision())
    assert log.close()
    who = read_pseudonyms(secret_path(folder))
    assert lines(folder) == [
        {
            "at": "2025-06-30T12:00:00+00:00",
            "request_id": "r-0",
            "release": "release-1",
            "as_of": "2025-06-30T11:59:59.999995+00:00",
            "terms": {"cost_per_order": 6.0, "pacing": 1.0},
            "user": [who.of("u1"), who.of("u2")],
            "brand": ["b1", "b1"],
            "horizon": [30, 30],
            "p_purchase": [0.25, 0.25],
            "bid": [1.5, 1.5],
            "status": ["ok", "ok"],
        }
    ]


def test_no_id_of_a_user_is_written_and_nothing_of_who_opted_out(folder):
    log = DecisionLog(folder, "w1")
    asked = decision(users=("alice", "bob"))
    log.add(Decision(*(getattr(asked, name) for name in ("at", "request_id", "release", "as_of",
        "users")), ["ok", "opted_out"], {"bid": [1.0, 0.0]}))  # fmt: skip
    log.close()
    (line,) = lines(folder)
    assert line["user"][1] is None
    text = "".join(path.read_text() for path in folder.iterdir())
    who = read_pseudonyms(secret_path(folder))
    assert not any(part in text for part in ("alice", "bob", who.of("bob")))


def test_a_file_is_one_day_of_utc_and_one_worker(folder):
    logs = [DecisionLog(folder, worker) for worker in ("w1", "w2")]
    for at in (NOON, NOON + DAY, NOON + DAY // 2 - 1, NOON + DAY // 2):
        for log in logs:
            log.add(decision(at=at))
    assert all(log.close() for log in logs)
    assert {path.name: len(lines(folder, path.name)) for path in folder.iterdir()} == {
        f"2025-{day}.{worker}.jsonl": 2 for day in ("06-30", "07-01") for worker in ("w1", "w2")
    }


def test_only_the_owner_may_read_the_log(folder):
    log = DecisionLog(folder, "w1")
    log.add(decision())
    log.close()
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (folder, *folder.iterdir())]
    assert modes == [0o700, 0o600]


def test_a_later_process_goes_on_and_leaves_a_line_that_broke_off_alone(folder):
    for number in range(2):
        log = DecisionLog(folder, "w1")
        log.add(decision(number))
        log.close()
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes() + b'{"at": "20')
    log = DecisionLog(folder, "w1")
    log.add(decision(2))
    log.close()
    found = path.read_text().splitlines()
    assert [json.loads(found[i])["request_id"] for i in (0, 1, 3)] == ["r-0", "r-1", "r-2"]
    assert found[2] == '{"at": "20'


def test_many_threads_lose_and_mix_nothing(folder):
    log = DecisionLog(folder, "w1", most_waiting=10**9)

    def hand_over(first):
        for number in range(first, first + 100):
            assert log.add(decision(number, users=[f"u{number}"] * 3))

    threads = [threading.Thread(target=hand_over, args=(i * 100,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert log.close()
    who = read_pseudonyms(secret_path(folder))
    found = {line["request_id"]: line["user"] for line in lines(folder)}
    assert found == {f"r-{i}": [who.of(f"u{i}")] * 3 for i in range(800)}


def test_a_line_is_there_without_closing(folder):
    log = DecisionLog(folder, "w1")
    log.add(decision())
    until = time.monotonic() + 10
    while not lines(folder) and time.monotonic() < until:
        time.sleep(0.01)
    assert len(lines(folder)) == 1
    log.close()


# --- too much, and a disk that fails -------------------------------------------------------------


def test_what_is_too_much_is_dropped_at_once_and_counted_in_the_log(stuck, folder):
    log, let_go = stuck
    start = time.monotonic()
    # Two rows each: three wait, and seven are too many.
    assert [log.add(decision(i)) for i in range(10)] == [True] * 3 + [False] * 7
    assert time.monotonic() - start < 5
    let_go.set()
    assert log.close()
    found = lines(folder)
    assert [line["request_id"] for line in found if "at" in line] == ["r-0", "r-1", "r-2"]
    dropped = [line for line in found if "at" not in line]
    assert dropped == [{"dropped_requests": 7, "dropped_rows": 14}]


def test_after_a_full_queue_there_is_room_again_and_drops_stand_in_their_own_day(stuck, folder):
    log, let_go = stuck
    for i in range(3):
        log.add(decision(i))
    assert not log.add(decision(3, at=NOON + DAY))
    let_go.set()
    until = time.monotonic() + 10
    while not (folder / "2025-07-01.w1.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.01)
    assert log.add(decision(4))
    assert log.close()
    assert lines(folder, "2025-07-01*") == [{"dropped_requests": 1, "dropped_rows": 2}]
    assert [line["request_id"] for line in lines(folder, "2025-06-30*")] == [
        "r-0", "r-1", "r-2", "r-4"
    ]  # fmt: skip


def test_closing_waits_no_longer_than_it_is_told_and_may_be_repeated(stuck):
    log, let_go = stuck
    log.add(decision())
    assert not log.close(0.05)
    let_go.set()
    assert log.close()
    assert log.close()
    assert not log.add(decision())


def test_a_disk_that_fails_is_logged_once_counted_and_used_again(folder, caplog):
    folder.mkdir()
    # In the place of the day's file stands a folder: opening it fails, as a full disk does.
    blocked = folder / "2025-06-30.w1.jsonl"
    blocked.mkdir()
    log = DecisionLog(folder, "w1")
    for i in range(3):
        log.add(decision(i))
    log.add(decision(3, at=NOON + DAY))
    until = time.monotonic() + 10
    while not (folder / "2025-07-01.w1.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.01)
    blocked.rmdir()
    log.add(decision(4))
    assert log.close()
    found = lines(folder, "2025-06-30*")
    assert {"dropped_requests": 3, "dropped_rows": 6} in found
    assert [line["request_id"] for line in found if "at" in line] == ["r-4"]
    said = [record.getMessage() for record in caplog.records]
    assert said[0].startswith("Decisions cannot be written (Is a directory)")
    assert not any("u1" in text or str(folder) in text for text in said)


def test_what_is_no_number_is_not_written_and_stops_nothing(folder, caplog):
    log = DecisionLog(folder, "w1")
    log.add(decision(0, bid=[math.nan, 1.0]))
    log.add(decision(1, bid=[object(), 1.0]))
    log.add(decision(2))
    assert log.close()
    found = lines(folder)
    assert [line["request_id"] for line in found if "at" in line] == ["r-2"]
    assert sum(line.get("dropped_requests", 0) for line in found) == 2
    assert "(ValueError)" in caplog.text


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"\[serving\] decisions: .*file/x cannot be made"):
        DecisionLog(tmp_path / "file" / "x", "w1")


# --- pseudonyms ----------------------------------------------------------------------------------

ids = st.text(alphabet=st.characters(exclude_categories=[]), max_size=8)


@given(st.lists(ids, unique=True, max_size=8))
def test_a_pseudonym_is_one_users_and_always_the_same(users):
    who = Pseudonyms(bytes(range(32)))
    found = [who.of(user) for user in users]
    assert found == [Pseudonyms(bytes(range(32))).of(user) for user in users]
    assert len(set(found)) == len(users)
    assert all(re.fullmatch("[0-9a-f]{32}", name) for name in found)
    other = Pseudonyms(bytes(32))
    assert not {other.of(user) for user in users} & set(found)


def test_a_secret_is_made_once_for_its_owner_alone_and_shown_nowhere(tmp_path):
    path = tmp_path / "new" / "decisions.secret"
    first = open_pseudonyms(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    assert open_pseudonyms(path).of("u1") == read_pseudonyms(path).of("u1") == first.of("u1")
    assert path.read_text().strip() not in repr(first)


def _first_pseudonym(path, start, found):
    start.wait(30)
    found.put(open_pseudonyms(path).of("u1"))


def test_workers_that_start_at_once_share_one_secret(tmp_path):
    path = tmp_path / "decisions.secret"
    fork = multiprocessing.get_context("fork")
    start, found = fork.Event(), fork.Queue()
    workers = [fork.Process(target=_first_pseudonym, args=(path, start, found)) for _ in range(8)]
    for worker in workers:
        worker.start()
    start.set()
    names = {found.get(timeout=30) for _ in workers}
    for worker in workers:
        worker.join(30)
    assert names == {read_pseudonyms(path).of("u1")}
    assert os.listdir(tmp_path) == [path.name]


@pytest.mark.parametrize("text", ["", "00", "g" * 64, "0" * 65, "é" * 64])
def test_what_is_no_secret_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "decisions.secret"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"is not 64 hexadecimal digits\. Bring the file back"):
        open_pseudonyms(path)
    assert path.read_text(encoding="utf-8") == text


def test_settling_makes_no_secret(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_pseudonyms(tmp_path / "decisions.secret")
    assert not list(tmp_path.iterdir())


def test_the_secret_lies_beside_the_folder_and_not_in_it(folder):
    DecisionLog(folder, "w1").close()
    assert sorted(p.name for p in folder.parent.iterdir()) == ["decisions", "decisions.secret"]
    assert not list(folder.iterdir())
