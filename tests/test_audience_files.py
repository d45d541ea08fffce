"""Audience files: whole, as they were chosen, and held against what came of them."""

import csv
import hashlib
import json
import re
import stat
import string

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serving.crowd.audience import summed
from serving.crowd.audience_choice import chosen
from serving.crowd.audience_crowd import crowd_of
from serving.crowd.audience_file import write_audience
from serving.crowd.audience_hashes import open_salt
from serving.crowd.audience_rules import audience_rules
from serving.crowd.audience_saved import read_audience
from serving.crowd.scored import newest_scored
from serving.crowd.scored_pairs import open_scored
from tests.scored_files import desk, event, some_pairs
from tests.worlds import ROOT, TrainedWorld, refusal, stagecast

SALT = "audiences.salt"


@pytest.fixture
def pairs():
    return some_pairs(seed=7)


@pytest.fixture
def config(tmp_path, pairs):
    return desk(tmp_path / "desk", pairs).path


def choose(config, *more, brand="b1"):
    done = stagecast("audience", config, "--brand", brand, "--horizon", 30, *more, "--json")
    assert done.code == 0, (done.out, done.err)
    return done


def manifest(path):
    return json.loads(path.with_name(f"{path.name}.json").read_text(encoding="utf-8"))


def test_both_forms_hold_the_same_users_the_likeliest_first(config, pairs, tmp_path):
    done = [
        choose(config, "--size", 20, "--out", tmp_path / f"a.{end}") for end in ("csv", "parquet")
    ]
    table, text = pq.read_table(tmp_path / "a.parquet").to_pandas(), pd.read_csv(tmp_path / "a.csv")
    pd.testing.assert_frame_equal(table, text)
    assert list(text) == [
        "user_id",
        "brand_id",
        "stage",
        "tier",
        "p_purchase_30d",
        "expected_value_30d",
    ]
    rows = pairs[pairs.brand_id == "b1"].sort_values(["p", "user_id"], ascending=[False, True])
    assert text.user_id.tolist() == rows.user_id.tolist()[:20]
    assert text.p_purchase_30d.tolist() == rows.p.tolist()[:20]
    assert done[0].json["audience"] == done[1].json["audience"]


def test_a_manifest_says_what_the_file_is(config, tmp_path):
    out = tmp_path / "a.csv"
    opted_out = config.parent / "opt_outs.txt"
    opted_out.write_text("u003\n", encoding="utf-8")
    told = choose(config, "--stage", "interest", "--cost-per-user", 2, "--out", out).json
    found = manifest(out)
    assert told == {"out": str(out), **found}
    assert found["sha256"] == hashlib.sha256(out.read_bytes()).hexdigest()
    assert found["rows"] == found["audience"]["users"] == len(pd.read_csv(out))
    assert found["as_of"] == "2025-05-01T00:00:00+00:00"
    assert (found["release"], found["scored_file"]) == ("r1", "2025-05-01.parquet")
    assert (found["category"], found["decision_cycle_days"]) == ("tea", 21)
    assert found["opted_out"] == 1
    assert found["hashed"] is False
    assert found["rules"]["stages"] == ["interest"]
    assert found["stages"]["interest"] == found["rows"]
    assert sum(tier["users"] for tier in found["tiers"].values()) == found["rows"]
    assert found["audience"]["cost"] == 2 * found["rows"]
    assert "u003" not in out.read_text(encoding="utf-8")


def test_hashed_ids_are_salted_and_the_salt_is_its_owners_alone(config, tmp_path):
    out, plain = tmp_path / "h.csv", tmp_path / "p.csv"
    choose(config, "--out", plain)
    choose(config, "--hash", "--out", out)
    salt = (config.parent / SALT).read_text(encoding="utf-8").strip()
    assert stat.S_IMODE((config.parent / SALT).stat().st_mode) == 0o600
    ids = pd.read_csv(plain).user_id
    expected = [hashlib.sha256((salt + user).encode()).hexdigest() for user in ids]
    assert pd.read_csv(out).user_id_sha256.tolist() == expected
    written = out.with_name("h.csv.json").read_text(encoding="utf-8")
    assert salt not in written
    assert not any(user in written + out.read_text(encoding="utf-8") for user in ids)
    # The same salt serves the next list, so that lists can be joined; another file is another.
    again = tmp_path / "again.csv"
    choose(config, "--hash", "--out", again)
    assert again.read_bytes() == out.read_bytes()
    choose(config, "--hash", "--salt-file", tmp_path / "other.salt", "--out", again)
    assert again.read_bytes() != out.read_bytes()
    assert salt not in repr(open_salt(config.parent / SALT))


NASTY = ["=1+1", "+2", "-3", "@cmd", "\ttab", 'a"b', "a,b", "a\nb", " padded ", "NULL", "007", "用"]


def test_ids_come_back_as_they_are_whatever_letters_they_have(tmp_path):
    pairs = some_pairs(len(NASTY), brands=("b,1",)).assign(user_id=NASTY)
    config, out = desk(tmp_path / "desk", pairs).path, tmp_path / "a.csv"
    done = choose(config, "--out", out, brand="b,1")
    assert "5 ids begin as a formula does" in " ".join(done.err.split())
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["user_id"] for row in rows} == set(NASTY)
    assert {row["brand_id"] for row in rows} == {"b,1"}
    # A list can be left out of the next one, and be held against the log.
    pd.DataFrame({"user_id": NASTY[:4]}).to_csv(tmp_path / "one.csv", index=False)
    excluded = choose(config, "--exclude", tmp_path / "one.csv", brand="b,1")
    assert excluded.json["audience"]["users"] == len(NASTY) - 4
    choose(config, "--out", tmp_path / "a.parquet", brand="b,1")
    assert "formula" not in choose(config, "--out", tmp_path / "a.parquet", brand="b,1").err


letters = string.printable + "é用\u2028"


@settings(max_examples=15)
@given(st.sets(st.text(letters, min_size=1, max_size=6).filter(str.strip), min_size=1, max_size=8))
def test_any_id_survives_a_csv_file(tmp_path_factory, ids):
    folder, users = tmp_path_factory.mktemp("any"), sorted(ids)
    configuration = desk(folder, some_pairs(len(users), brands=("b",)).assign(user_id=users))
    file, _ = newest_scored(folder / "scores")
    rules, out = audience_rules(brand="b", horizon=7), folder / "a.csv"
    with open_scored(file, configuration.dataset, None, frozenset()) as scored:
        crowd = crowd_of(scored, "b", 7, None)
        choice = chosen(scored, crowd, rules)
        write_audience(scored, choice, summed(scored, crowd, choice), out)
    with out.open(encoding="utf-8", newline="") as lines:
        assert sorted(row["user_id"] for row in csv.DictReader(lines)) == users
    assert sorted(read_audience(out).users()) == users


def test_whole_numbers_stay_whole_numbers(tmp_path):
    pairs = some_pairs(40, brands=("b",))
    pairs = pairs.assign(user_id=range(100, 140), brand_id=12)
    config = desk(tmp_path / "desk", pairs).path
    choose(config, "--out", tmp_path / "a.parquet", "--size", 5, brand="12")
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert [str(schema.field(name).type) for name in ("user_id", "brand_id")] == ["int64"] * 2
    assert "'x' has no pair in" in refusal(
        "audience", config, "--brand", "x", "--horizon", 30, "--size", 5
    )


def test_an_audience_of_nobody_is_a_no_and_writes_nothing(config, tmp_path):
    out = tmp_path / "a.csv"
    done = stagecast(
        "audience", config, "--brand", "b1", "--horizon", 30, "--stage", "none", "--min-value", 1e9,
        "--out", out, "--json",
    )  # fmt: skip
    assert done.code == 1
    assert "nobody meets all conditions" in done.err
    assert done.json["out"] is None
    assert done.json["audience"]["users"] == 0
    assert list(tmp_path.glob("a.csv*")) == []


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--brand", "b9"], "--brand: 'b9' has no pair in"),
        (["--horizon", "14"], "14 days; .* was scored for 7, 30 days"),
        (["--out", "{}/a.txt"], "a.txt must end in .csv or .parquet"),
        (["--out", "{}/away/a.csv"], "there is no folder .*away"),
        (["--where", "gender"], "--where: 'gender'; write it like 'gender=female'"),
        (["--budget", "10", "--cost-per-user", "0"], "--cost-per-user: found 0.0"),
        (["--budget", "10"], "--budget: how many it pays for takes --cost-per-user"),
        (["--salt-file", "x"], "--salt-file goes with --hash"),
        (["--as-of", "2025-05-01"], "--as-of goes with --check"),
        (["--check", "a.csv"], "audience: --check goes with --as-of and --salt-file only"),
        (["--exclude", "{}/away.csv"], "--exclude: .*away.csv does not exist"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_message(config, tmp_path, more, said):
    given = [word.format(tmp_path) for word in more]
    text = refusal("audience", config, "--brand", "b1", "--horizon", 30, *given)
    assert len(text.strip().splitlines()) == 1
    assert re.search(said, text), text
    assert list(tmp_path.glob("a*")) == []


def test_without_a_scored_file_the_way_out_is_said(config):
    (config.parent / "scores" / "2025-05-01.parquet").unlink()
    text = refusal("audience", config, "--brand", "b1", "--horizon", 30)
    assert "scores holds no scored file; write one: stagecast score CONFIG --as-of DATE" in text


def test_a_scored_file_older_than_the_log_or_not_the_champions_is_said(tmp_path):
    config = desk(tmp_path, some_pairs(), [event("u000", "b1", "search", 9.5)]).path
    said = " ".join(choose(config).err.split())
    assert "the log goes on for 10 days after 2025-05-01.parquet" in said
    assert "by release r1, which is not the champion now" in said


def test_fewer_than_asked_for_and_a_brand_that_hardly_sells_are_said(tmp_path):
    pairs = some_pairs().assign(p=0.001)
    said = " ".join(choose(desk(tmp_path, pairs).path, "--size", 100).err.split())
    assert "100 users were asked for, and 30 meet the conditions" in said
    assert "fewer than one is expected to buy within 30 days" in said


def bought(days_by_user, brand="b1"):
    return [event(user, brand, "purchase", day) for user, day in days_by_user.items()]


DAYS = {"u000": 0.0, "u001": 29.999, "u002": 30.0, "u003": -1.0, "new": 3.0, "u004": 5.0}


def checked(config, out, *more):
    return stagecast("audience", config, "--check", out, *more, "--json")


@pytest.mark.parametrize("end", ["csv", "parquet"])
@pytest.mark.parametrize("how", [(), ("--hash",)])
def test_a_saved_audience_is_held_against_what_came(tmp_path, end, how):
    events = [*bought(DAYS), event("u009", "b2", "purchase", 4), event("u005", "b1", "search", 31)]
    pairs, out = some_pairs(seed=7), tmp_path / f"a.{end}"
    config = desk(tmp_path / "desk", pairs, events).path
    choose(config, "--size", 25, *how, "--out", out)
    (config.parent / "opt_outs.txt").write_text("u004\n", encoding="utf-8")
    done = checked(config, out)
    assert done.code == 0, done.err
    rows = pairs[pairs.brand_id == "b1"].sort_values(["p", "user_id"], ascending=[False, True])
    whole = rows[:25]
    mine = whole[whole.user_id != "u004"]
    buyers = {"u000", "u001"}
    found = done.json
    held = len(buyers & set(mine.user_id))
    assert found["audience"]["users"] == len(mine)
    assert found["audience"]["buyers"] == held
    assert found["audience"]["expected_buyers"] == pytest.approx(mine.p.sum())
    assert sum(tier["buyers"] for tier in found["tiers"].values()) == held
    assert (found["crowd"], found["crowd_buyers"], found["newcomers"]) == (29, 2, 1)
    assert found["share_of_buyers"] == pytest.approx(held / 3)
    assert found["audience"]["lift"] == pytest.approx(held / len(mine) / (2 / 29))
    assert found["opted_out"] == len(whole) - len(mine)


def test_before_the_horizon_is_over_it_says_when_it_will_be(tmp_path):
    # The log ends with the day of its last event; 30 days are over at the end of May's 30th.
    for last, code in ((28.9, 1), (29.1, 0)):
        folder, out = tmp_path / str(last), tmp_path / f"{last}.csv"
        config = desk(folder, some_pairs(), [event("u000", "b1", "search", last)]).path
        choose(config, "--out", out)
        done = checked(config, out)
        assert done.code == code, done.err
        if code:
            assert done.json == {
                "over": False,
                "known_at": "2025-05-31T00:00:00+00:00",
                "log_until": "2025-05-30T00:00:00+00:00",
            }
        else:
            assert checked(config, out, "--as-of", "2025-05-30").code == 1


def test_late_orders_are_waited_for(tmp_path):
    out, late = tmp_path / "a.csv", [event("u000", "b1", "search", 29.1)]
    config = desk(tmp_path / "desk", some_pairs(), late, more="settle_days = 3").path
    choose(config, "--out", out)
    assert checked(config, out).json["known_at"] == "2025-06-03T00:00:00+00:00"


def test_a_list_that_was_changed_or_lost_its_manifest_is_refused(config, tmp_path):
    out = tmp_path / "a.csv"
    choose(config, "--out", out)
    whole = out.read_text(encoding="utf-8")
    out.write_text(whole + "\n", encoding="utf-8")
    assert "a.csv is not what its manifest tells of" in refusal("audience", config, "--check", out)
    beside = tmp_path / "a.csv.json"
    beside.write_text("{}", encoding="utf-8")
    assert "is no manifest of an audience" in refusal("audience", config, "--check", out)
    beside.unlink()
    beside.mkdir()
    again = refusal("audience", config, "--brand", "b1", "--horizon", 30, "--out", out)
    assert "a.csv.json is a folder; name a file" in again
    beside.rmdir()
    assert "a.csv.json does not exist" in refusal("audience", config, "--check", out)


def test_another_salt_is_refused_and_none_is_made(config, tmp_path):
    out, other = tmp_path / "a.csv", tmp_path / "other.salt"
    choose(config, "--hash", "--out", out)
    said = refusal("audience", config, "--check", out, "--salt-file", other)
    assert "other.salt does not exist" in said
    open_salt(other)
    said = refusal("audience", config, "--check", out, "--salt-file", other)
    assert "was hashed with another salt" in said


def test_what_a_release_expects_of_lists_is_near_what_came(world: TrainedWorld, tmp_path):
    mine = world.copied_to(tmp_path / "w")
    as_of = str(pd.Timestamp(mine.as_of) + pd.Timedelta(days=5))[:10]
    done = stagecast("score", mine.config, "--as-of", as_of, "--horizons", "30", "--json")
    assert done.code == 0, done.err
    expected, came = 0.0, 0
    # Of milk tea and snacks, which are bought often.
    for brand in ("b01", "b04", "b06"):
        out = tmp_path / f"{brand}.csv"
        choose(mine.config, "--size", 300, "--out", out, brand=brand)
        found = checked(mine.config, out)
        assert found.code == 0, found.err
        expected += found.json["audience"]["expected_buyers"]
        came += found.json["audience"]["buyers"]
    assert came > 10
    assert 0.5 < expected / came < 2


def test_every_field_of_a_manifest_is_documented_and_no_other(config, tmp_path):
    choose(config, "--out", tmp_path / "a.csv")
    found = manifest(tmp_path / "a.csv")
    page = (ROOT / "docs" / "audiences.md").read_text(encoding="utf-8")
    text = page.split("### The manifest\n")[1].split("\n## ")[0]
    heads = [row.split("|")[1] for row in text.splitlines() if row.startswith("| `")]
    assert sorted(re.findall(r"`(\w+)`", " ".join(heads))) == sorted(found)
    numbers = page.split("## What to expect\n")[1].split("\n## ")[0]
    heads = [row.split("|")[1] for row in numbers.splitlines() if row.startswith("| `")]
    assert re.findall(r"`(\w+)`", " ".join(heads)) == list(found["audience"])
