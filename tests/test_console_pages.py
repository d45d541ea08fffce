"""The console in a real browser: every page, its numbers, its export, and its door."""

import io
import json
import zipfile
from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from serving.console.passwords import UserFile
from serving.views.words import words_in
from tests.consoles import Console, Visitor, browser, running_console
from tests.worlds import TrainedWorld, plain_log, stagecast, written_world

pytestmark = pytest.mark.needs("chromium")

PAGES = ("audience", "roi", "cycles", "quality", "playbook", "crowd")


@pytest.fixture(scope="module")
def shown(world, tmp_path_factory) -> TrainedWorld:
    """The session's world with a census and scores, in a folder of its own."""
    copy = world.copied_to(tmp_path_factory.mktemp("console") / "world")
    assert stagecast("score", copy.config, "--as-of", copy.as_of).code == 0
    assert stagecast("crowd", copy.config, "--as-of", copy.as_of).code == 0
    return copy


@pytest.fixture(scope="module")
def console(shown) -> Iterator[Console]:
    with running_console(shown.config, shown.folder / "console.log") as found:
        yield found


@pytest.fixture(scope="module")
def chromium():
    with browser() as found:
        yield found


@pytest.fixture
def visitor(chromium, console) -> Iterator[Visitor]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    found = Visitor(context.new_page(), console)
    yield found
    context.close()
    assert found.wrong == []
    assert "Traceback" not in console.said
    assert "Error" not in console.said


def command(*arguments):
    outcome = stagecast(*arguments, "--json")
    assert outcome.code == 0, outcome.err
    return outcome.json


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_page_opens_in_both_languages_and_on_a_telephone(visitor, language):
    words = words_in(language)
    visitor.begin(language)
    for name in PAGES:
        visitor.open(words(f"page_{name}"))
        assert visitor.page.get_by_test_id("stAlertContentError").count() == 0
    visitor.page.set_viewport_size({"width": 390, "height": 844})
    visitor.page.reload()
    visitor.settle()
    width = visitor.page.evaluate("() => document.documentElement.scrollWidth")
    assert width == 390


def test_the_crowd_is_that_of_the_command(visitor, shown):
    visitor.begin()
    said = command("crowd", shown.config, "--as-of", shown.as_of)
    for stage, counts in said["census"]["pairs"].items():
        assert visitor.number(f"census_{stage}") == counts[-1]
    horizons = said["forecast"]["horizons"]
    rows = {row["what"]: row for row in horizons[len(horizons) // 2]["rows"]}
    for name in ("buyers", "sales"):
        assert visitor.number(f"expected_{name}") == pytest.approx(rows[name]["expected"])
    assert visitor.page.get_by_test_id("stDataFrame").count() == 0
    for below in visitor.page.get_by_text("As a table", exact=True).all():
        below.click()
    expect(visitor.page.get_by_test_id("stDataFrame")).to_have_count(2)


def test_an_audience_and_its_export_are_those_of_the_command(visitor, shown, tmp_path):
    visitor.begin()
    visitor.open("Audience")
    visitor.press("Interest")
    visitor.settle()
    visitor.page.get_by_text("Size", exact=True).click()
    visitor.settle()
    size = visitor.page.get_by_role("spinbutton", name="Size", exact=True)
    size.fill("20")
    size.press("Enter")
    visitor.page.locator('[data-tile="users"][data-number="20"]').wait_for()
    visitor.settle()
    brand = min(
        json.loads((shown.releases / shown.release / "brands.json").read_text())["brand_ids"]
    )
    horizons = sorted(shown.configuration.settings.forecast.horizons)
    out = tmp_path / f"audience-{brand}.csv"
    asked = ["--brand", brand, "--horizon", horizons[len(horizons) // 2]]
    asked += ["--stage", "interest", "--size", 20, "--out", out]
    said = command("audience", shown.config, *asked)["audience"]
    assert visitor.number("buyers") == said["expected_buyers"]
    for name in ("users", "share_of_buyers", "lift", "lift_over_stage", "wasted_reach"):
        assert visitor.number(name) == said[name], name
    with visitor.page.expect_download() as download:
        visitor.press("CSV and manifest")
    archive = zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes()))
    listed, manifest = archive.namelist()
    assert archive.read(listed) == out.read_bytes()
    about = json.loads(archive.read(manifest))
    assert about["file"] == listed
    assert about["rules"]["size"] == 20


def test_cycles_and_returns_are_computed_once_and_are_those_of_the_commands(visitor, shown):
    visitor.begin()
    visitor.open("Decision cycles")
    visitor.press("Compute")
    visitor.page.get_by_text("This writes the cycles").wait_for()
    (kept,) = shown.folder.glob("scores/crowd/census-*/cycles-*.json")
    said = command("cycles", shown.config)
    del said["written"]
    assert json.loads(kept.read_text()) == said
    visitor.open("ROI (T+x)")
    visitor.press("Read the log")
    visitor.press("Compute")
    visitor.page.get_by_text("By channel", exact=True).wait_for()
    (listed,) = shown.folder.glob("scores/crowd/census-*/campaigns-*.json")
    newest = json.loads(listed.read_text())["campaigns"][0]
    said = command("roi", shown.config, "--campaign", newest)
    assert visitor.number("touched") == said["users"]
    assert visitor.number("sales_so_far") == pytest.approx(said["all"]["sales"])
    assert visitor.number("sales_at_x") == pytest.approx(said["all"]["forecast"]["value"])
    visitor.page.reload()
    visitor.page.get_by_text("By channel", exact=True).wait_for()
    assert visitor.page.get_by_role("button", name="Compute").count() == 0
    # Streamlit looks for its server below the page's address first, and is told that it is above.
    visitor.wrong = [text for text in visitor.wrong if "404" not in text]


def test_the_quality_is_what_the_release_says_of_itself(visitor, shown):
    visitor.begin()
    visitor.open("Model quality")
    about = json.loads((shown.releases / shown.release / "release.json").read_text())
    rows = list(about["facts"]["evaluation"]["horizons"].values())[-1]["model"]
    for tile in ("auc", "average_precision", "brier", "lift_10pct"):
        assert visitor.number(tile) == rows[tile]


def test_from_the_first_user_on_everybody_signs_in_and_nothing_opens_that_again(visitor, shown):
    visitor.begin()
    users = UserFile(shown.folder / "console-users.json")
    users.keep("anna", "three little words")
    try:
        visitor.page.get_by_text("简体中文").click()
        visitor.page.get_by_text("English").click()
        _sign_in(visitor, "a wrong password")
        visitor.page.get_by_text("do not belong together").wait_for()
        assert visitor.page.locator("[data-tile]").count() == 0
        _sign_in(visitor, "three little words")
        visitor.number("census_none")
        visitor.press("Sign out")
        visitor.page.get_by_label("Password", exact=True).wait_for()
    finally:
        users.path.unlink()
    visitor.page.reload()
    visitor.page.get_by_label("Password", exact=True).wait_for()


def _sign_in(visitor, password):
    visitor.page.get_by_label("Name", exact=True).fill("anna")
    visitor.page.get_by_label("Password", exact=True).fill(password)
    visitor.page.get_by_test_id("stFormSubmitButton").get_by_role("button").click()


def test_what_is_missing_is_said_with_the_command_that_makes_it(chromium, tmp_path):
    config = written_world(tmp_path / "bare", plain_log(day=[0, 1, 2]), tmp_path / "no.db")
    with running_console(config, tmp_path / "console.log") as console:
        visitor = Visitor(chromium.new_page(), console)
        visitor.begin()
        for title, way in (
            ("Crowd", "crowd"),
            ("Audience", "score"),
            ("Decision cycles", "crowd"),
            ("Model quality", "promote"),
        ):
            visitor.open(title)
            visitor.page.get_by_text(f"stagecast {way} {config}").wait_for()
        assert visitor.wrong == []
        visitor.page.close()
