"""The report: one page that asks nothing of anybody, with the numbers of the commands."""

import json
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import date, timedelta
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from serving.crowd.census_folder import find_census
from serving.crowd.file_states import state_of
from serving.crowd.kept_answers import answer_path
from serving.crowd.kept_returns import ReturnQuestion, kept_returns
from serving.report.markup import element, picture, table
from serving.report.part import Part
from serving.report.template import page
from serving.views.cycles_chart import cycles_chart
from serving.views.words import words_in
from tests.consoles import browser
from tests.worlds import ROOT, TrainedWorld, plain_log, refusal, stagecast, written_world

PARTS = (
    "stages_now",
    "series",
    "flow",
    "expected",
    "earlier",
    "tiers",
    "page_cycles",
    "page_roi",
    "page_quality",
    "page_playbook",
)


@dataclass
class Read(HTMLParser):
    """A page as a reader takes it in."""

    text: str
    language: str | None = None
    tags: list[str] = field(default_factory=list)
    images: list[str | None] = field(default_factory=list)
    tiles: dict[str, float] = field(default_factory=dict)
    elsewhere: list[str] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)
    within: str = ""

    def __post_init__(self):
        super().__init__()
        self.feed(self.text)

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        self.tags.append(tag)
        self.within = tag
        self.language = about.get("lang", self.language)
        if about.get("role") == "img":
            self.images.append(about.get("aria-label"))
        if "data-tile" in about:
            self.tiles[about["data-tile"]] = float(about["data-number"] or "nan")
        links = [about[name] for name in ("src", "href") if name in about]
        self.elsewhere += [link for link in links if not link.startswith("#")]

    def handle_endtag(self, tag):
        self.within = ""

    def handle_data(self, data):
        self.said.setdefault(self.within, []).append(data)


def brand_of(world):
    brands = json.loads((world.releases / world.release / "brands.json").read_text())["brand_ids"]
    return min(map(str, brands))


def command(*arguments):
    outcome = stagecast(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


def written(config, out, *options):
    facts = command("report", config, "--out", out, *options)
    return facts, Read(out.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def scored(world, tmp_path_factory) -> TrainedWorld:
    """The session's world with a census and scores, in a folder of its own."""
    copy = world.copied_to(tmp_path_factory.mktemp("reports") / "world")
    assert stagecast("score", copy.config, "--as-of", copy.as_of).code == 0
    assert stagecast("crowd", copy.config, "--as-of", copy.as_of).code == 0
    return copy


@pytest.fixture(scope="module")
def census(scored) -> Path:
    return find_census(scored.configuration.dataset, scored.folder / "scores")


@pytest.fixture(scope="module")
def full(scored, census) -> TrainedWorld:
    """The same, with cycles and a return where the console keeps them."""
    cycles = command("cycles", scored.config)
    del cycles["written"]
    answer_path(census, "cycles", {}).write_text(json.dumps(cycles))
    log = pd.read_parquet(scored.folder / "events.parquet")
    mine = log[(log.brand_id == brand_of(scored)) & log.campaign_id.notna()]
    campaign = mine.sort_values("occurred_at").campaign_id.iloc[-1]
    found = command("roi", scored.config, "--campaign", campaign)
    del found["holdout"]
    question = ReturnQuestion(campaign, None, None, scored.release, state_of([]))
    question.path(census).write_text(json.dumps(found))
    return scored


@pytest.fixture(scope="module")
def report(full, tmp_path_factory):
    """The facts and the page of a brand's report, and the page's file."""
    out = tmp_path_factory.mktemp("written") / "report.html"
    return *written(full.config, out, "--brand", brand_of(full)), out


def test_the_facts_are_those_of_the_commands(report, full):
    facts, _, out = report
    assert facts["missing"] == {}
    assert facts["bytes"] == out.stat().st_size
    crowd = command("crowd", full.config, "--brand", brand_of(full), "--as-of", full.as_of)
    for name in ("scope", "as_of", "census", "flow", "forecast"):
        assert facts[name] == crowd[name], name
    asked = ("--brand", brand_of(full), "--horizon", facts["audience"]["horizon"])
    audience = command("audience", full.config, *asked)
    for name in ("left", "crowd", "audience", "tiers", "stages", "opted_out"):
        assert facts["audience"][name] == audience[name], name
    about = json.loads((full.releases / full.release / "release.json").read_text())
    x = str(facts["quality"]["horizon"])
    assert facts["quality"]["model"] == about["facts"]["evaluation"]["horizons"][x]["model"]
    playbook = command("playbook", full.config)["playbook"]
    assert facts["playbook"] == playbook
    (campaign,) = facts["returns"]["campaigns"]
    assert campaign["brands"] == [brand_of(full)]


def test_the_page_shows_what_the_facts_say(report):
    facts, read, _ = report
    for stage, counts in facts["census"]["pairs"].items():
        assert read.tiles[f"census_{stage}"] == counts[-1]
    horizons = facts["forecast"]["horizons"]
    rows = {row["what"]: row for row in horizons[len(horizons) // 2]["rows"]}
    for name in ("buyers", "sales"):
        assert read.tiles[f"expected_{name}"] == pytest.approx(rows[name]["expected"])
    cells = read.said["td"]
    for found in horizons:
        for row in found["rows"]:
            assert f"{row['expected']:,.0f}" in cells
            assert "{:,.0f} to {:,.0f}".format(*row["interval"]) in read.said["small"]
    for tier in facts["audience"]["tiers"].values():
        assert f"{tier['users']:,}" in cells
        assert f"{tier['lift']:.1f}" in cells
        assert f"{tier['share_of_buyers']:.1%}" in cells
    assert read.tiles["users"] == facts["audience"]["crowd"]["users"]
    for name in ("auc", "average_precision", "brier", "lift_10pct"):
        assert read.tiles[name] == facts["quality"]["model"][name], name


def test_the_page_is_of_a_day_a_release_and_a_brand_and_asks_nothing_of_anybody(report, full):
    _, read, _ = report
    assert read.language == "en"
    assert read.said["h1"] == [f"Brand {brand_of(full)}"]
    assert read.said["title"] == [f"Brand {brand_of(full)} · Stagecast"]
    about = " ".join(read.said["p"])
    assert f"As of {full.as_of}" in about
    assert f"release {full.release}" in about
    assert read.elsewhere == []
    assert all(alt and alt.strip() for alt in read.images)
    words = words_in("en")
    assert [text for text in read.said["h2"] if text.strip()] == [words(name) for name in PARTS]


def test_a_report_in_chinese_says_all_of_it_in_chinese(full, tmp_path):
    facts, read = written(full.config, tmp_path / "r.html", "--lang", "zh", "--as-of", full.as_of)
    words = words_in("zh")
    assert read.language == "zh-CN"
    assert read.said["h1"] == [words("scope_all")]
    assert [text for text in read.said["h2"] if text.strip()] == [words(name) for name in PARTS]
    assert facts["audience"] is None
    assert facts["missing"] == {
        "audience": f"stagecast report {full.config} --brand BRAND --out FILE"
    }


def test_the_same_question_has_the_same_bytes(full, tmp_path):
    first, second = tmp_path / "1.html", tmp_path / "2.html"
    for out in (first, second):
        written(full.config, out, "--brand", brand_of(full))
    assert first.read_bytes() == second.read_bytes()


def test_an_earlier_forecast_is_held_against_the_census_of_its_day(scored, tmp_path):
    early = str(date.fromisoformat(scored.as_of) - timedelta(days=20))
    assert stagecast("score", scored.config, "--as-of", early, "--horizons", "7,14").code == 0
    try:
        asked = ("crowd", scored.config, "--brand", brand_of(scored), "--as-of")
        forecast = command(*asked, early)["forecast"]
        facts, _ = written(scored.config, tmp_path / "r.html", "--brand", brand_of(scored))
        x = facts["earlier"]["days_before"]
        expected = {}
        for kept, day in ((forecast, early), (command(*asked, scored.as_of)["forecast"], None)):
            for found in kept["horizons"]:
                begun = date.fromisoformat(day or scored.as_of)
                if found["days"] == x:
                    expected[str(begun + timedelta(days=x))] = found["rows"]
        held = n = 0
        for day, rows in expected.items():
            outcome = stagecast(*asked, day, "--json")
            if outcome.code:
                continue
            came = outcome.json["census"]["pairs"]
            for row in rows:
                if row["what"] in came and row["what"] != "none":
                    low, high = row["interval"]
                    held += low <= came[row["what"]][-1] <= high
                    n += 1
        assert n > 0
        assert (facts["earlier"]["held"], facts["earlier"]["intervals"]) == (held, n)
    finally:
        (scored.folder / "scores" / f"{early}.parquet").unlink()
        (scored.folder / "scores" / "crowd" / f"forecast-{early}.parquet").unlink()


def test_of_many_categories_those_with_most_buyers_are_shown_and_the_others_are_counted(
    full, census, tmp_path
):
    path = answer_path(census, "cycles", {})
    kept = path.read_text()
    cycles = json.loads(kept)
    one = json.dumps(cycles["categories"][0])
    cycles["categories"] = [json.loads(one) | {"category": f"k{i:02}"} for i in range(15)]
    for i, category in enumerate(cycles["categories"]):
        category["beginnings"]["contact"]["buyers"] = i
    path.write_text(json.dumps(cycles))
    try:
        facts, read = written(full.config, tmp_path / "report.html")
    finally:
        path.write_text(kept)
    assert len(facts["cycles"]["categories"]) == 15
    assert [cell for cell in read.said["th"] if cell in {f"k{i:02}" for i in range(15)}] == [
        f"k{i:02}" for i in range(3, 15)
    ]
    assert words_in("en")("more_categories", n=3) in read.said["p"]


def test_a_kept_return_is_shown_while_the_release_and_the_opt_outs_are_those_of_its_question(
    full, census
):
    (answer,) = kept_returns(census, full.release, state_of([]))
    assert kept_returns(census, "another", state_of([])) == []
    assert kept_returns(census, full.release, (("opt_outs.txt", 1, 1),)) == []
    name, x = answer["campaign"], answer["horizon_days"]
    known = {**answer, "all": {**answer["all"], "cost": 100.0}}
    path = ReturnQuestion(name, x, 100.0, full.release, state_of([])).path(census)
    path.write_text(json.dumps(known))
    (census / "roi-broken.json").write_text('{"campaign": 1}')
    try:
        assert kept_returns(census, full.release, state_of([])) == [known]
    finally:
        path.unlink()
        (census / "roi-broken.json").unlink()


def test_what_is_missing_is_said_with_the_command_that_makes_it(tmp_path):
    config = written_world(tmp_path / "bare", plain_log(day=[0, 1, 2]), tmp_path / "no.db")
    facts, read = written(config, tmp_path / "report.html", "--brand", "b1")
    ways = {
        "census": "crowd",
        "flow": "crowd",
        "forecast": "crowd",
        "earlier": "crowd",
        "audience": "score",
        "cycles": "crowd",
        "returns": "crowd",
        "quality": "promote",
    }
    assert list(facts["missing"]) == list(ways)
    for part, way in ways.items():
        assert facts["missing"][part].startswith(f"stagecast {way} {config}")
        assert facts["missing"][part] in read.said["code"]
        assert facts[part] is None
    assert facts["playbook"] is not None
    assert command("crowd", config)
    facts, read = written(config, tmp_path / "report.html", "--brand", "b1")
    assert sum(counts[-1] for counts in facts["census"]["pairs"].values()) == 1
    assert facts["missing"]["forecast"] == f"stagecast score {config} --as-of {facts['as_of']}"
    assert words_in("en")("no_category") in read.said["p"]


def test_a_scored_file_that_does_not_fit_is_named_and_the_rest_is_shown(full, tmp_path):
    copy = full.copied_to(tmp_path / "copy")
    assert stagecast("crowd", copy.config).code == 0
    (copy.folder / "scores").mkdir(exist_ok=True)
    (copy.folder / "scores" / f"{full.as_of}.parquet").write_bytes(b"not Parquet")
    facts, _ = written(copy.config, tmp_path / "r.html", "--brand", brand_of(full))
    assert f"{full.as_of}.parquet is no file of forecasts" in facts["missing"]["forecast"]
    assert "holds no scored file" in facts["missing"]["audience"]
    assert facts["census"] is not None


def test_a_brand_whose_name_is_a_script_is_shown_as_text(tmp_path):
    name = "<script>alert('b')</script>"
    log = plain_log(day=[0, 1, 2], brand_id=name)
    config = written_world(tmp_path / "hostile", log, tmp_path / "no.db")
    assert command("crowd", config)
    _, read = written(config, tmp_path / "report.html", "--brand", name)
    assert read.said["h1"] == [f"Brand {name}"]
    assert not any("alert(" in text for text in read.said["script"])
    assert [f"stagecast score {config} --as-of DATE"] == [
        text for text in read.said["code"] if text.endswith("DATE")
    ]


def test_the_report_is_made_without_streamlit():
    asked = "import sys, serving.report.report; sys.exit('streamlit' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], cwd=ROOT, check=False).returncode == 0


def test_markup_escapes_what_it_is_given():
    assert element("p", "a < b", title='"') == '<p title="&quot;">a &lt; b</p>'
    assert "<b>" not in table({"<b>": ["<b>", "x\n<b>"], "y": ["<b>", ""]}, "<b>")
    drawn = picture(cycles_chart([("</script><b>", 1.0, 0.5, 2.0)], ""), '"<b>')
    assert "<b>" not in drawn
    assert drawn.count("</script>") == 1


def test_what_is_asked_wrongly_is_refused_and_nothing_is_written(scored, tmp_path):
    out = tmp_path / "report.html"
    asked = ("report", scored.config, "--out", out)
    assert "--brand: 'nobody' is not in the log" in refusal(*asked, "--brand", "nobody")
    both = ("--brand", brand_of(scored), "--category", "x")
    assert "--brand and --category: give one of them" in refusal(*asked, *both)
    assert "--as-of: 'soon' is no day" in refusal(*asked, "--as-of", "soon")
    assert "the census knows the days" in refusal(*asked, "--as-of", "1999-01-01")
    nowhere = ("report", scored.config, "--out", tmp_path / "none" / "report.html")
    assert f"there is no folder {tmp_path / 'none'}" in refusal(*nowhere)
    assert list(tmp_path.iterdir()) == []


def test_an_older_page_is_replaced(scored, tmp_path):
    out = tmp_path / "report.html"
    out.write_text("older")
    written(scored.config, out, "--brand", brand_of(scored))
    assert out.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert list(tmp_path.iterdir()) == [out]


@dataclass
class Reader:
    """Somebody without a network who opens the page, and all that goes wrong meanwhile."""

    page: object
    asked: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    def open(self, path):
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("console", lambda one: self.wrong.append(one.text))
        self.page.goto(path.as_uri())
        self.page.wait_for_function("document.documentElement.dataset.drawn")


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("width", [1280, 390])
def test_in_a_browser_without_a_network_every_picture_is_drawn(report, chromium, width):
    _, read, out = report
    context = chromium.new_context(viewport={"width": width, "height": 900}, offline=True)
    reader = Reader(context.new_page())
    reader.open(out)
    assert reader.asked == [out.as_uri()]
    assert reader.wrong == []
    assert reader.page.evaluate("document.documentElement.scrollWidth") == width
    drawn = reader.page.locator(".picture").evaluate_all(
        "all => all.map(one => one.querySelector('.main-svg[viewBox]') !== null)"
    )
    assert drawn == [True] * len(read.images)
    context.close()


@pytest.mark.needs("chromium")
def test_on_paper_no_picture_is_wider_than_the_page(report, chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    reader = Reader(context.new_page())
    reader.open(report[-1])
    reader.page.emulate_media(media="print")
    # A printer lays the page out anew, and tells no script of it.
    reader.page.evaluate("document.querySelector('main').style.width = '180mm'")
    most = reader.page.locator("main").bounding_box()["width"]
    widths = reader.page.locator(".picture .main-svg").evaluate_all(
        "all => all.map(one => one.getBoundingClientRect().width)"
    )
    assert 0 < max(widths) <= most
    context.close()


@pytest.mark.needs("chromium")
def test_a_browser_shows_names_as_they_are_and_runs_no_script_but_the_page_s_own(
    chromium, tmp_path
):
    name = "<b>x</b> & <a href='https://example.org'>y</a>"
    body = picture(cycles_chart([(name, 3.0, 2.0, 4.0)], "days"), name)
    body += "<script>document.title = 'taken'</script><img src=x onerror='document.title = 1'>"
    out = tmp_path / "page.html"
    out.write_text(page(words_in("en"), "A title", [], [Part("page_cycles", body)]))
    context = chromium.new_context(offline=True)
    reader = Reader(context.new_page())
    reader.open(out)
    assert name in reader.page.locator(".picture").evaluate("one => one.textContent")
    assert reader.page.locator(".picture a").count() == 0
    assert reader.page.title() == "A title · Stagecast"
    assert any("Content Security Policy" in text for text in reader.wrong)
    context.close()
