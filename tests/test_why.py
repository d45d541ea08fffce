"""Why: reasons in groups add up, of a pair and of an audience against its crowd."""

import numpy as np
import pytest

from models.batch import looked_at
from models.odds_path import probability
from serving.crowd.audience_saved import read_audience
from serving.crowd.why_audience import audience_why
from serving.crowd.why_pair import pair_why
from tests.worlds import TrainedWorld, refusal, stagecast


@pytest.fixture(scope="module")
def mine(world: TrainedWorld, tmp_path_factory):
    mine = world.copied_to(tmp_path_factory.mktemp("why") / "w")
    done = stagecast("score", mine.config, "--as-of", mine.as_of, "--horizons", "30")
    assert done.code == 0, done.err
    for name, more in {"a.csv": (), "h.csv": ("--hash",)}.items():
        done = stagecast(
            "audience", mine.config, "--brand", "b09", "--horizon", 30, "--size", 40, *more,
            "--out", mine.folder / name,
        )  # fmt: skip
        assert done.code == 0, done.err
    return mine


@pytest.fixture(scope="module")
def release(mine):
    return mine.published()


@pytest.fixture(scope="module")
def data(mine):
    with mine.configuration.dataset.open(looked_at(mine.instant())) as data:
        yield data


@pytest.fixture(scope="module")
def users(mine):
    return read_audience(mine.folder / "a.csv").users()


def test_the_groups_of_a_pair_lead_from_the_typical_pair_to_its_forecast(
    data, mine, release, users
):
    found = pair_why(data, release, users[0], "b09", mine.instant(), 30)
    log_odds = np.log(found.typical / (1 - found.typical)) + sum(g.log_odds for g in found.groups)
    assert found.forecast == pytest.approx(1 / (1 + np.exp(-log_odds)))
    sizes = [abs(group.log_odds) for group in found.groups]
    assert sizes == sorted(sizes, reverse=True)
    assert found.groups[0].sentence.endswith(")")
    assert found.status == "ok"
    assert len(found.facts) == 5
    assert found.receipt.stage > 0


def test_the_forecast_that_is_explained_is_the_scored_one(data, mine, release, users):
    found = pair_why(data, release, users[0], "b09", mine.instant(), 30)
    (line,) = [
        line for line in (mine.folder / "a.csv").read_text("utf-8").splitlines() if users[0] in line
    ]
    assert found.forecast == pytest.approx(float(line.split(",")[4]))


def test_the_groups_of_an_audience_add_up_to_what_it_is_ahead_of_its_crowd(
    data, mine, release, users
):
    at = mine.instant()
    found = audience_why(data, release, users, "b09", at, 30)
    ahead = sum(group.log_odds for group in found.groups)
    assert ahead == pytest.approx(found.log_odds - found.crowd_log_odds)
    assert ahead > 0
    assert found.users == 40
    assert found.crowd <= 500
    # The mean over its users, each explained alone.
    alone = [pair_why(data, release, user, "b09", at, 30).forecast for user in users[:3]]
    few = audience_why(data, release, users[:3], "b09", at, 30)
    assert probability(np.array([few.log_odds]))[0] == pytest.approx(
        1 / (1 + np.exp(-np.mean([np.log(p / (1 - p)) for p in alone])))
    )


def test_who_opted_out_is_asked_for_nothing(data, mine, release, users):
    out = frozenset(users[:5])
    found = audience_why(data, release, users, "b09", mine.instant(), 30, out)
    assert found.users == 35


def test_strangers_have_the_reasons_of_their_cell(data, mine, release):
    at = mine.instant()
    unknown = pair_why(data, release, "a stranger", "b09", at, None)
    assert (unknown.status, unknown.receipt.stage, len(unknown.groups)) == ("unknown_user", 0, 1)
    assert unknown.horizon == release.brands.cycle()["b09"]
    assert pair_why(data, release, "a stranger", "b99", at, 7).status == "unknown_brand"


def test_the_command_tells_of_a_pair_and_what_to_do(mine, users):
    done = stagecast(
        "why", mine.config, "--user", users[0], "--brand", "b09", "--as-of", mine.as_of
    )
    assert done.code == 0, done.err
    for text in ("to buy within 29 days", "The strongest single reasons", "What to do at"):
        assert text in done.out
    told = stagecast("why", mine.config, "--user", users[0], "--brand", "b09", "--json").json
    assert told["playbook"]["own"] is False
    assert told["receipt"]["stage"] == told["stage"]


def test_the_command_tells_of_an_audience(mine):
    done = stagecast("why", mine.config, "--audience", mine.folder / "a.csv", "--language", "zh")
    assert done.code == 0, done.err
    for text in ("Why likelier: odds ×", "Where they stand", "What to do at", "经验法则"):
        assert text in done.out
    told = stagecast("why", mine.config, "--audience", mine.folder / "a.csv", "--json").json
    assert sum(told["stages"].values()) == 40
    assert set(told["playbook"]) == set(told["stages"])


def test_who_opted_out_is_not_told_of(mine, users, tmp_path):
    other = mine.copied_to(tmp_path / "w")
    (other.folder / "opt_outs.txt").write_text(f"{users[0]}\n", encoding="utf-8")
    said = refusal("why", other.config, "--user", users[0], "--brand", "b09")
    assert "opted out, so nothing is forecast of them" in said


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--user", "u1"], "why: give --user and --brand, or --audience and a file alone."),
        (["--audience", "a.csv", "--horizon", "7"], "why: give --user and --brand, or --aud"),
        (["--audience", "{}/away.csv"], "--audience: "),
        (["--audience", "{}/h.csv"], "h.csv are hashed, and reasons are of users"),
        (["--user", "u", "--brand", "b", "--horizon", "0"], "--horizon: 0; the release answers"),
    ],
)
def test_what_has_no_reasons_is_refused(mine, more, said):
    given = [word.format(mine.folder) for word in more]
    assert said in refusal("why", mine.config, *given)
