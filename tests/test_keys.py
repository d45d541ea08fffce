"""Keys: their file under many hands, the ring that reads it anew, limits, and the commands."""

import multiprocessing
import re
import stat
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import ConfigError
from serving.allowances import Allowances, Bucket
from serving.key_file import KeyFile
from serving.keys import LOOK_EVERY, KeyRing, Scope, digest, read_keys
from tests.worlds import refusal, stagecast

NOW = datetime(2025, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
SECRET = re.compile(r"stagecast_[0-9a-f]{12}_[A-Za-z0-9_-]{43}")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "keys.toml"


@pytest.fixture
def file(path):
    return KeyFile(path)


@pytest.fixture
def config(tmp_path):
    found = tmp_path / "stagecast.toml"
    found.write_text('[events]\npath = "events.parquet"\n', encoding="utf-8")
    return found


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def pass_by(self, seconds=LOOK_EVERY):
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


# --- the file ------------------------------------------------------------------------------------


def test_a_key_comes_back_as_it_was_made_and_its_secret_is_nowhere(file, path):
    about = {"scopes": (Scope.SCORE, Scope.INGEST), "rate": 2.5, "burst": 7, "rows": 1e6}
    key, secret = file.add("bid-1", NOW, expires=NOW + HOUR, **about)
    other, _ = file.add("b", NOW, scopes=(Scope.ADMIN,))
    assert file.read() == (key, other)
    assert SECRET.fullmatch(secret)
    assert secret.split("_", 2)[2] not in path.read_text()
    assert key.sha256 == digest(secret.encode())
    assert key.sha256 not in repr(key)


def test_only_its_owner_may_read_the_file(file, path):
    file.add("a", NOW, scopes=(Scope.SCORE,))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    file.rotate("a", NOW, HOUR)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_link_to_the_file_stays_a_link(tmp_path, file, path):
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    KeyFile(link).add("a", NOW, scopes=(Scope.SCORE,))
    assert link.is_symlink()
    assert [key.name for key in file.read()] == ["a"]


def test_a_rotation_lets_the_former_keys_work_for_the_grace_and_no_longer(file):
    first, _ = file.add("a", NOW, scopes=(Scope.SCORE,), rate=3.0)
    second, _ = file.rotate("a", NOW, 2 * HOUR)
    assert [(key.id, key.expires, key.replaced, key.rate) for key in file.read()] == [
        (first.id, NOW + 2 * HOUR, True, 3.0),
        (second.id, None, False, 3.0),
    ]
    # The next one ends both, the first no later than it would have.
    third, _ = file.rotate("a", NOW + HOUR, 5 * HOUR)
    assert [key.expires for key in file.read()] == [NOW + 2 * HOUR, NOW + 6 * HOUR, None]
    # At once: nothing of before is left.
    fourth, _ = file.rotate("a", NOW + HOUR, timedelta())
    assert [key.id for key in file.read()] == [fourth.id]
    assert third.id != fourth.id


def test_a_rotation_keeps_the_end_of_the_key_or_sets_another(file):
    file.add("a", NOW, scopes=(Scope.SCORE,), expires=NOW + HOUR)
    assert file.rotate("a", NOW, HOUR)[0].expires == NOW + HOUR
    with pytest.raises(ConfigError, match="expired 2025-06-01 13:00 UTC; say how long"):
        file.rotate("a", NOW + 2 * HOUR, HOUR)
    assert file.rotate("a", NOW + 2 * HOUR, HOUR, NOW + 3 * HOUR)[0].expires == NOW + 3 * HOUR


def test_a_revoked_client_has_no_key_left_not_even_a_former_one(file):
    file.add("a", NOW, scopes=(Scope.SCORE,))
    file.add("b", NOW, scopes=(Scope.SCORE,))
    file.rotate("a", NOW, HOUR)
    gone, left = file.revoke("a", NOW)
    assert (len(gone), left) == (2, 1)
    assert [key.name for key in file.read()] == ["b"]


def _add_and_rotate(path, who):
    for i in range(8):
        KeyFile(path).add(f"{who}-{i}", NOW, scopes=(Scope.SCORE,))
        KeyFile(path).rotate(f"{who}-{i}", NOW, HOUR)


def test_commands_at_once_lose_nothing(path, file):
    start = multiprocessing.get_context("fork")
    many = [start.Process(target=_add_and_rotate, args=(path, who)) for who in "abcd"]
    for process in many:
        process.start()
    for process in many:
        process.join(60)
    assert [process.exitcode for process in many] == [0] * 4
    names = [key.name for key in file.read()]
    assert sorted(set(names)) == sorted(f"{who}-{i}" for who in "abcd" for i in range(8))
    assert len(names) == 64
    assert {p.name for p in path.parent.iterdir()} == {"keys.toml", ".keys.toml.lock"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[keys]", "this is no TOML"),
        ("key = 1", "wrong at key"),
        ('[[keys]]\nid = "0"', "wrong at keys.0.id"),
        ("keys = 7", "wrong at keys"),
    ],
)
def test_a_broken_file_is_named_and_not_repeated_and_no_command_replaces_it(path, file, text, said):
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=re.escape(said)):
        file.add("a", NOW, scopes=(Scope.SCORE,))
    assert path.read_text() == text


# --- the ring ------------------------------------------------------------------------------------


def test_a_ring_knows_a_secret_and_no_other(file, path, clock):
    key, secret = file.add("a", NOW, scopes=(Scope.SCORE,))
    ring = KeyRing(path, needed=False, clock=clock)
    assert ring.refresh()
    assert ring.find(secret.encode()) == key
    wrong = secret[:-1] + ("A" if secret[-1] != "A" else "B")
    for other in (wrong, "", "_", "stagecast", key.id, f"_{key.id}_", secret + "x", key.sha256):
        assert ring.find(other.encode()) is None
    assert ring.find(b"\xff_\x00_\xfe") is None


def test_a_ring_reads_a_changed_file_and_looks_at_it_seldom(file, path, clock):
    _, old = file.add("a", NOW, scopes=(Scope.SCORE,))
    ring = KeyRing(path, needed=False, clock=clock)
    _, new = file.rotate("a", NOW, timedelta())
    ring.refresh()
    assert ring.find(new.encode()) is None
    clock.pass_by()
    ring.refresh()
    assert ring.find(new.encode()) is not None
    assert ring.find(old.encode()) is None


@pytest.mark.parametrize("fault", ["broken", "gone"])
def test_a_broken_or_missing_file_keeps_the_last_good_keys_and_is_logged_once(
    file, path, clock, fault, caplog
):
    _, secret = file.add("a", NOW, scopes=(Scope.SCORE,))
    ring = KeyRing(path, needed=False, clock=clock)
    path.unlink() if fault == "gone" else path.write_text("[[keys]]\nid = 5", encoding="utf-8")
    with caplog.at_level("INFO"):
        for _ in range(3):
            clock.pass_by()
            assert ring.refresh()
            assert ring.find(secret.encode()) is not None
    assert len(caplog.records) == 1
    assert f"keys file is {fault}" in caplog.text
    path.unlink(missing_ok=True)
    _, other = file.add("b", NOW, scopes=(Scope.SCORE,))
    clock.pass_by()
    ring.refresh()
    assert ring.find(other.encode()) is not None
    assert ring.find(secret.encode()) is None


def test_without_a_file_keys_are_needed_as_told_and_from_the_first_file_on(file, path, clock):
    assert KeyRing(path, needed=True).refresh()
    ring = KeyRing(path, needed=False, clock=clock)
    assert not ring.refresh()
    file.add("a", NOW, scopes=(Scope.SCORE,))
    clock.pass_by()
    assert ring.refresh()
    # Taking the last key away does not open the door.
    file.revoke("a", NOW)
    clock.pass_by()
    assert ring.refresh()


def test_a_file_that_is_broken_from_the_start_lets_nobody_in(path):
    path.write_text("nonsense", encoding="utf-8")
    assert KeyRing(path, needed=False).refresh()


# --- limits --------------------------------------------------------------------------------------


@given(
    st.floats(0.1, 100), st.integers(1, 50), st.lists(st.floats(0, 0.5), min_size=5, max_size=200)
)
@settings(max_examples=50)
def test_no_more_pass_than_the_burst_and_what_comes_back_in_time(rate, burst, pauses):
    bucket, now, passed = Bucket(0.0, burst), 0.0, 0
    for pause in pauses:
        now += pause
        wait = bucket.take(now, rate, burst, 1)
        passed += not wait
        assert wait <= 1 / rate + 1e-9
    assert passed <= burst + now * rate + 1e-6


def test_a_large_request_passes_and_the_next_one_waits_for_it(file, clock):
    key, _ = file.add("a", NOW, scopes=(Scope.SCORE,), rows=100)
    allowances = Allowances(clock)
    assert allowances.rows(key, 512) == 0
    assert allowances.rows(key, 1) == pytest.approx(4.13)
    clock.pass_by(4.2)
    assert allowances.rows(key, 1) == 0


def test_the_keys_of_a_client_share_its_limit(file, clock):
    old, _ = file.add("a", NOW, scopes=(Scope.SCORE,), rate=1, burst=2)
    new, _ = file.rotate("a", NOW, HOUR)
    allowances = Allowances(clock)
    assert [allowances.request(key) > 0 for key in (old, new, old)] == [False, False, True]


# --- the commands --------------------------------------------------------------------------------


def test_a_secret_is_printed_once_alone_on_standard_output(config, path):
    done = stagecast("keys", config, "add", "bid", "--scope", "score", "--scope", "ingest")
    assert done.code == 0
    assert SECRET.fullmatch(done.out.removesuffix("\n"))
    assert "shown once" in done.err
    assert not SECRET.search(done.err)
    listed = stagecast("keys", config, "list")
    assert listed.code == 0
    assert all(word in listed.out for word in ("bid", "score, ingest", "never", "works"))
    assert not SECRET.search(listed.out + listed.err)
    (key,) = read_keys(path)
    assert key.sha256 not in listed.out


def test_the_commands_speak_json(config, path):
    added = stagecast(
        "keys", config, "add", "bid", "--scope", "score", "--rate", "5", "--burst", "9",
        "--rows", "1000", "--expires", "2999-01-01", "--json",
    )  # fmt: skip
    assert (added.code, added.err) == (0, "")
    assert SECRET.fullmatch(added.json["key"])
    assert added.json["file"] == str(path)
    assert added.json["expires"] == "2999-01-01T00:00:00Z"
    rotated = stagecast("keys", config, "rotate", "bid", "--grace", "7d", "--json")
    assert rotated.json["key"] != added.json["key"]
    listed = stagecast("keys", config, "list", "--json").json["keys"]
    assert [(row["state"], row["rate"], row["burst"], row["rows"]) for row in listed] == [
        ("replaced", 5, 9, 1000), ("works", 5, 9, 1000),
    ]  # fmt: skip
    assert "sha256" not in listed[0]
    revoked = stagecast("keys", config, "revoke", "bid", "--json")
    assert revoked.json == {"name": "bid", "revoked": [r["id"] for r in listed], "left": 0}
    assert "answers nobody" in revoked.err


def test_without_keys_the_list_says_how_to_make_one(config, path):
    done = stagecast("keys", config, "list")
    assert done.code == 0
    assert f"stagecast keys {config} add NAME --scope score" in done.out
    assert stagecast("keys", config, "list", "--json").json == {"keys": []}
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["add", "a b", "--scope", "score"], "NAME: 'a b'; use up to 64 letters"),
        (["add", "b", "--scope", "score", "--rate", "0"], "--rate: 0.0. Input should be greater"),
        (["add", "b", "--scope", "score", "--rate", "nan"], "--rate: nan"),
        (["add", "b", "--scope", "score", "--burst", "5"], "--burst: it goes with --rate"),
        (["add", "b", "--scope", "score", "--expires", "soon"], "--expires: 'soon' is no date"),
        (["add", "b", "--scope", "score", "--expires", "2020-01-01"], "2020-01-01 is over"),
        (["add", "b", "--scope", "everything"], "everything"),
        (["add", "b"], "--scope"),
        (["add", "old", "--scope", "score"], "'old' has a key already; replace it"),
        (["rotate", "nobody"], "'nobody' has no key (there is old)"),
        (["rotate", "old", "--grace", "soon"], "--grace: 'soon'; write a duration like 90s"),
        (["revoke", "nobody"], "'nobody' has no key (there is old)"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_named_and_changes_nothing(config, file, path, arguments, said):
    file.add("old", NOW, scopes=(Scope.SCORE,))
    before = path.read_text()
    assert said in refusal("keys", config, *arguments)
    assert path.read_text() == before


@pytest.mark.parametrize(
    ("keys", "said"),
    [("nowhere/keys.toml", "there is no folder"), (".", "is a folder; name a file")],
)
def test_a_place_that_cannot_hold_keys_is_named_and_nothing_is_made(config, keys, said):
    text = config.read_text() + f'[serving]\nkeys = "{keys}"\n'
    config.write_text(text, encoding="utf-8")
    assert said in refusal("keys", config, "add", "a", "--scope", "score")
    assert [path.name for path in config.parent.iterdir()] == ["stagecast.toml"]
