"""The report: one page that stands alone, says what the numbers say, and bears what is missing."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from features.errors import ConfigError
from models.forecast import Forecast
from stagecast.whole_file import WholeFile
from tests.worlds import TrainedWorld, refusal, stagecast
from training.evaluation import NOTHING_JUDGED, evaluation_of
from training.figures import figures_of
from training.judged import Judged
from training.markup import between, number
from training.report import About, report_page
from training.report_tables import worst_cells
from training.track import Tracking

HORIZONS = (7, 30, 60)
STAGES = ("none", "interest", "purchase")
HOSTILE = '<script>alert("b")</script> & $x$ http://evil.example'
VOID = {"meta", "img", "br", "hr"}


def judged(n: int = 800, horizons: tuple[int, ...] = HORIZONS, seed: int = 0) -> Judged:
    """Return made-up moments whose purchases come as the model says, more or less."""
    random = np.random.default_rng(seed)
    rate = random.gamma(0.5, 0.01, n) + 1e-4
    time = random.exponential(1 / rate)
    x = np.asarray(horizons, dtype=float)
    p = 1 - np.exp(-rate[:, None] * x)
    shares = np.exp(-x)[:, None] * np.array([0.2, 0.3, 0.0]) + np.array([0.7, 0.1, 0.1])
    outcome = np.tile(np.c_[shares, 1 - shares.sum(1)], (n, 1, 1))
    stage = random.integers(0, 3, n)
    forecast = Forecast(horizons, p, outcome, np.zeros((n, len(x), 3)), 20 * p, np.full(n, 20.0))
    base = np.tile(p.mean(0), (n, 1))
    plain = {"base_rate": base, "recency_frequency": (p + base) / 2}
    return Judged(
        horizons, STAGES, np.array([f"u{i % 200}" for i in range(n)], dtype=object),
        np.array([HOSTILE if i % 2 else "b1" for i in range(n)], dtype=object),
        np.full(n, None, dtype=object), np.zeros(n, dtype=np.int64), stage, np.ones(n), time,
        np.full(n, 90.0), 20.0 * (time[:, None] < x), forecast, {"model": p, **plain},
        random.integers(0, 4, (n, len(x))), outcome,
        {
            "stage": np.asarray(STAGES, dtype=object)[stage],
            "month": np.array([f"2025-0{1 + i % 3}" for i in range(n)], dtype=object),
            "moment": np.full(n, "met, and later", dtype=object),
        },
    )  # fmt: skip


ABOUT = About(
    "2025-03-01-abc",
    "What was foretold on 2025-03-01?",
    "800 pairs as of 2025-03-01",
    "pairs",
    "2025-03-01",
    "2025-03-01",
    {
        "moments": 1234, "users": 56, "brands": 7, "purchases_learnt": 89, "edges": [7, 30],
        "purchase_method": "trees", "calibration": "none: nothing was held back",
        "importance": {"features": {"orders_90d": 0.6, "stage": 0.4},
                       "groups": {"commerce": 0.6, "stage": 0.4}},
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def evaluation():
    return evaluation_of(judged())


@pytest.fixture(scope="module")
def report(evaluation):
    return report_page(evaluation, ABOUT)


class Page(HTMLParser):
    """What a page holds; refuses tags that are not closed in turn."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict]] = []
        self.words: list[str] = []
        self.bold: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in ("span", "strong"):
            self.words.append(" ")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.words.append(data)
        if self.open and self.open[-1] == "strong":
            self.bold.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def classes(self, name: str) -> int:
        return sum(name in (attrs.get("class") or "").split() for _, attrs in self.tags)


def test_every_tag_is_closed_and_every_link_leads_to_a_part_of_the_page(report):
    tags = Page(report).tags
    anchors = {attrs["id"] for _, attrs in tags if "id" in attrs}
    links = {attrs["href"] for tag, attrs in tags if tag == "a"}
    assert links == {f"#{anchor}" for anchor in anchors}
    assert "<!DOCTYPE html>" in report


def test_the_page_stands_alone(report):
    tags = Page(report).tags
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "object", "base"}
    sources = [attrs["src"] for _, attrs in tags if "src" in attrs]
    assert sources
    assert all(source.startswith("data:image/svg+xml;base64,") for source in sources)
    assert all(attrs["alt"] for tag, attrs in tags if tag == "img")
    # The only address in it is that of the hostile brand, as text.
    assert "http" not in report.replace("http://evil.example", "")
    assert "url(" not in report
    assert not any(name.startswith("on") for _, attrs in tags for name in attrs)


def test_what_comes_from_data_is_escaped(report, evaluation):
    assert HOSTILE not in report
    assert "&lt;script&gt;alert(&quot;b&quot;)&lt;/script&gt; &amp; $x$" in report
    hostile = replace(ABOUT, release=HOSTILE, asked=HOSTILE, subject=HOSTILE, since=HOSTILE)
    page = Page(report_page(evaluation, hostile))
    assert not any(tag == "script" for tag, _ in page.tags)
    assert HOSTILE in page.text


def test_the_numbers_of_the_page_are_those_of_the_evaluation(report, evaluation):
    text = Page(report).text
    for x, found in evaluation["horizons"].items():
        assert f"within {x} days: {found['model']['buyers']:.0f} buyers of 800 pairs" in text
        for name in ("model", "base_rate", "recency_frequency"):
            scores = found[name]
            row = [
                f"{scores['auc']:.3f}", f"{scores['average_precision']:.3f}",
                f"{scores['log_loss']:.4f}", f"{scores['brier']:.4f}",
                f"{scores['predicted_over_observed']:.3f}",
                f"{scores['expected_calibration_error']:.4f}",
                *(f"{scores[f'lift_{share}pct']:.2f}" for share in (1, 5, 10)),
            ]  # fmt: skip
            assert " ".join(row) in text
        value = found["value"]
        assert f"{value['expected']:,.0f} {value['spent']:,.0f}" in text
        low, high = found["calibration_interval"]
        assert f"({low:.3f} to {high:.3f})" in text


def test_the_summary_says_what_came_and_what_was_foretold(report, evaluation):
    found = evaluation["horizons"]["30"]["model"]
    said = next(cell for cell in evaluation["cells"] if cell["horizon"] == 30)
    assert said["level"] == "all"
    text = Page(report).text.replace("\xa0", " ")
    assert f"In all {found['buyers']:.0f} of 800 pairs bought within 30 days of 2025-03-01" in text
    ratio = found["predicted_over_observed"]
    assert f"{said['expected']:.0f} were foretold ({ratio:.2f} times as many" in text
    assert f"holds {10 * found['lift_10pct']:.0f} % of the buyers" in text


def test_moments_with_weights_are_not_counted_as_pairs():
    weighed = judged()
    weighed = replace(weighed, weight=np.full(len(weighed), 3.0))
    about = replace(ABOUT, noun="moments", since="the moment")
    text = Page(report_page(evaluation_of(weighed), about)).text
    assert "moments led to a purchase within 30 days of the moment" in text
    assert "Each counted for those that it stands for, there were foretold" in text
    assert "were foretold (" not in text
    assert "The value foretold is" in text
    assert "Purchases were worth" not in text


def test_the_best_of_each_horizon_is_bold(evaluation):
    scores = evaluation["horizons"]["30"]
    best = min(scores[name]["brier"] for name in ("model", "base_rate", "recency_frequency"))
    assert f"{best:.4f}" in Page(report_page(evaluation, ABOUT)).bold


def test_a_lost_comparison_stands_in_capitals(evaluation, report):
    lost = {**evaluation, "losses": ["recency-frequency at 30 days, beyond doubt"]}
    page = Page(report_page(lost, ABOUT))
    capitals = "A BASELINE HAS THE LOWER BRIER SCORE: RECENCY-FREQUENCY AT 30 DAYS, BEYOND DOUBT."
    assert capitals in page.text
    assert page.classes("warning") == 1
    won = Page(report_page({**evaluation, "losses": []}, ABOUT))
    assert "A BASELINE HAS" not in won.text
    assert won.classes("warning") == 0


def test_parts_without_anything_are_left_out_with_a_word():
    bare = judged()
    bare = replace(
        bare, spent=None, outcome_within=np.full((len(bare), 3), -1), slices={},
        p={"model": bare.p["model"]},
    )  # fmt: skip
    text = Page(report_page(evaluation_of(bare), replace(ABOUT, facts={}))).text
    for word in (
        "The log has no values.",
        "Nobody was followed from stage to stage.",
        "No baseline answered",
        "No picture by month",
        "Nothing to tell apart by stage at the moment.",
        "the release does not hold it",
    ):
        assert word in text


def test_a_horizon_without_buyers_is_left_out_of_the_pictures_with_a_word():
    late = judged()
    late = replace(late, time=late.time + 7.0)
    found = evaluation_of(late)
    page = Page(report_page(found, ABOUT))
    assert "Nobody bought within 7 days." in page.text
    assert "No picture of 7 days: nobody bought, or everybody." in page.text
    assert {"reliability_7d", "lift_7d"}.isdisjoint(figures_of(found, None, "s"))
    nobody = replace(late, time=np.full(len(late), np.inf))
    text = Page(report_page(evaluation_of(nobody), ABOUT)).text
    assert "None of 800 pairs bought within 30 days of 2025-03-01." in text


def test_one_horizon_is_enough_and_one_pair_is_too():
    page = Page(report_page(evaluation_of(judged(horizons=(14,))), ABOUT))
    assert "within 14 days of 2025-03-01" in page.text
    assert "At other horizons" not in page.text
    assert Page(report_page(evaluation_of(judged(n=1)), ABOUT)).text


def test_nothing_judged_still_says_how_it_was_made():
    text = Page(report_page(NOTHING_JUDGED, ABOUT)).text
    assert "The log is too short to test the model on days that it had not seen." in text
    assert "1,234 moments of 56 users and 7 brands; 89 of them with a purchase" in text
    assert "boosted trees" in text


def test_horizons_stand_in_order_whatever_their_order_was():
    text = Page(report_page(evaluation_of(judged(horizons=(60, 7, 30))), ABOUT)).text
    places = [text.index(f"within {x} days:") for x in HORIZONS]
    assert places == sorted(places)


def test_an_evaluation_that_was_kept_as_json_gives_the_same_page(evaluation, report):
    assert report_page(json.loads(json.dumps(evaluation)), ABOUT) == report


def test_the_worst_cells_stand_first_each_once_and_none_that_expects_few():
    def cell(name, horizon, expected, ratio):
        return {
            "level": "brand", "cell": name, "horizon": horizon, "n": 9, "expected": expected,
            "observed": 1.0, "predicted_over_observed": ratio, "interval": [None, None],
        }  # fmt: skip

    cells = [
        cell("near", 7, 50.0, 1.1), cell("few", 7, 19.0, 9.0), cell("far", 7, 20.0, 0.2),
        cell("far", 30, 40.0, 0.5), cell("none", 7, 30.0, None),
    ]  # fmt: skip
    assert [(c["cell"], c["horizon"]) for c in worst_cells(cells)] == [
        ("none", 7),
        ("far", 7),
        ("near", 7),
    ]


def test_numbers_that_are_not_there_are_dashes():
    assert number(float("nan"), ".2f") == number(None, ".2f") == "–"
    assert between([None, 2.0], ".1f") == "2.0 or less"


def test_every_picture_of_a_run_has_its_name(evaluation):
    names = set(figures_of(evaluation, ABOUT.facts["importance"], "800 pairs"))
    by_horizon = {re.sub(r"_\d+d$", "", name) for name in names}
    assert by_horizon == {
        "reliability", "lift", "months", "cells", "next_stage", "curve_by_stage", "importance",
    }  # fmt: skip
    assert {f"reliability_{x}d" for x in HORIZONS} <= names
    assert "importance" not in figures_of(evaluation, {"features": {}, "groups": {}}, "800 pairs")


# --- the file ------------------------------------------------------------------------------------


def test_a_file_is_written_whole_in_the_place_of_an_older_one(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    WholeFile(path, "--report").write("new: ü")
    assert path.read_text(encoding="utf-8") == "new: ü"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_leaves_the_older_one_and_no_part(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    file = WholeFile(path, "--report")
    with pytest.raises(UnicodeEncodeError):
        file.write("\ud800")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_and_a_missing_folder_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="is a folder; name a file"):
        WholeFile(tmp_path, "--report")
    with pytest.raises(ConfigError, match=r"there is no folder .*nowhere"):
        WholeFile(tmp_path / "nowhere" / "r.html", "--report")


def test_evaluate_writes_the_report(integers: TrainedWorld, tmp_path):
    path = tmp_path / "report.html"
    done = stagecast(
        "evaluate", integers.config, "--as-of", "2025-03-20", "--horizons", "14,7",
        "--report", path, "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert done.json["report"] == str(path)
    page = Page(path.read_text(encoding="utf-8"))
    pairs = done.json["pairs"]
    assert f"Asked were {pairs:,} pairs of a user and a brand" in page.text
    assert f"{pairs:,} pairs as of 2025-03-20" in page.text
    assert list(tmp_path.iterdir()) == [path]


def test_evaluate_refuses_a_report_that_cannot_be_written(integers: TrainedWorld, tmp_path):
    asked = ("evaluate", integers.config, "--as-of", "2025-03-20", "--horizons", "7", "--report")
    assert "is a folder; name a file" in refusal(*asked, tmp_path)
    assert "there is no folder" in refusal(*asked, tmp_path / "nowhere" / "r.html")
    assert list(tmp_path.iterdir()) == []


def test_a_run_keeps_its_evaluation_and_its_report(integers: TrainedWorld, tmp_path):
    configuration = integers.configuration
    tracking = Tracking(configuration.settings.tracking, configuration.folder)
    kept = tracking.fetch(integers.run, "evaluation.json", tmp_path)
    assert json.loads(kept.read_text(encoding="utf-8"))["moments"] > 0
    page = tracking.fetch(integers.run, "report.html", tmp_path)
    assert "A twin of its model" in Page(page.read_text(encoding="utf-8")).text
