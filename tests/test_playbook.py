"""The playbook: every stage has advice in both languages, and a brand's own takes its place."""

import re
from pathlib import Path

import pytest

from features.errors import ConfigError
from features.stages import load_stage_model, parse_stage_model, shipped_stage_models
from serving.crowd.playbook import PlaybookSettings, load_playbook, shipped_text
from serving.crowd.playbook_text import LANGUAGES, PARTS, parse_playbook
from tests.scored_files import desk, some_pairs
from tests.worlds import ROOT, refusal, stagecast

OWN = """
[aips.interest]
need = { en = "depth", zh = "深度" }
content = { en = "tea at home", zh = "在家喝茶" }
format = { en = "video", zh = "视频" }
channel = { en = "search ads", zh = "搜索广告" }
push = { en = "after work", zh = "下班后" }
push_times = ["18:30", "21:00-22:00"]
"""


def own(folder, text=OWN):
    (folder / "own.toml").write_text(text, encoding="utf-8")
    return load_playbook(PlaybookSettings(path="own.toml"), folder)


@pytest.mark.parametrize("name", shipped_stage_models())
def test_every_stage_of_a_shipped_model_has_advice_in_both_languages(name, tmp_path):
    model, book = load_stage_model(name, Path())[0], load_playbook(PlaybookSettings(), tmp_path)
    assert book.silent(model) == ()
    assert set(book.advice[name]) == set(model.names)
    for stage in model.names:
        advice = book.of(name, stage)
        assert advice is not None
        assert not advice.own
        english, chinese = advice.told("en"), advice.told("zh")
        assert list(english) == list(chinese) == list(PARTS)
        assert all(text.isascii() for text in english.values())
        assert all(any("一" <= letter <= "鿿" for letter in text) for text in chinese.values())


def test_a_brands_own_advice_takes_the_place_of_that_of_its_stage_alone(tmp_path):
    book = own(tmp_path)
    advice = book.of("aips", "interest")
    assert advice is not None
    assert advice.own
    assert advice.told("zh")["push"] == "下班后 (18:30, 21:00-22:00)"
    shipped = load_playbook(PlaybookSettings(), tmp_path)
    assert book.of("aips", "share") == shipped.of("aips", "share")
    assert book.of("sips", "share") == shipped.of("sips", "share")
    assert book.of("aips", "nowhere") is None


def test_the_shipped_playbook_is_an_example_of_ones_own(tmp_path):
    assert own(tmp_path, shipped_text()).advice.keys() == set(shipped_stage_models())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[aips.interest]", "[aips.interest"), "own.toml is not TOML: "),
        (("need =", "needs ="), "own.toml, line 3: [aips.interest] needs: unknown key; what is"),
        (('need = { en = "depth", zh = "深度" }\n', ""), "[aips.interest]: need is missing; it"),
        (('en = "depth", ', ""), "line 3: [aips.interest] need: en is missing; it needs en, zh."),
        (('"depth"', '" "'), "line 3: [aips.interest] need en: found ' '; it must be a text."),
        (('{ en = "video", zh = "视频" }', '"video"'), "line 5: [aips.interest] format: found 'v"),
        (('"18:30"', '"25:00"'), "line 8: [aips.interest] push_times 0: found '25:00'; write a t"),
        (('["18:30", "21:00-22:00"]', '"18:30"'), "line 8: [aips.interest] push_times: found"),
        (("[aips.interest]", "[aips]"), "line 3: [aips.need] en: unknown key"),
    ],
)
def test_a_mistake_is_refused_with_its_line(tmp_path, change, said):
    with pytest.raises(ConfigError) as refused:
        own(tmp_path, OWN.replace(*change))
    assert said in str(refused.value)
    assert "own.toml" in str(refused.value)


def test_a_text_of_tables_only_is_needed():
    with pytest.raises(ConfigError, match="a playbook holds tables of stage"):
        parse_playbook("aips = 3", "x")
    assert parse_playbook("", "x") == {}
    assert LANGUAGES == ("en", "zh")


def test_a_stage_that_the_model_does_not_have_is_refused_and_a_silent_one_is_told(tmp_path):
    with pytest.raises(ConfigError, match=r"\[aips.intrest\]: the stage model aips has no stage"):
        own(tmp_path, OWN.replace("interest", "intrest")).silent(
            load_stage_model("aips", Path())[0]
        )
    text = 'name = "mine"\n[[stages]]\nname = "seen"\nany = [{ kinds = ["impression"] }]\n'
    mine = parse_stage_model(text, "mine")
    assert own(tmp_path).silent(mine) == ("none", "seen")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"\[playbook\] path: .*away.toml cannot be read"):
        load_playbook(PlaybookSettings(path="away.toml"), tmp_path)


def test_the_command_shows_advice_and_writes_an_example(tmp_path):
    config = desk(tmp_path, some_pairs()).path
    done = stagecast("playbook", config, "--stage", "interest", "--language", "zh")
    assert done.code == 0, done.err
    assert "深度" in done.out
    assert "经验法则" in done.out
    told = stagecast("playbook", config, "--json").json
    assert told["model"] == "aips"
    assert next(iter(told["playbook"])) == "none"
    assert told["playbook"]["share"]["own"] is False
    assert stagecast("playbook", config, "--out", tmp_path / "own.toml").code == 0
    config.write_text(config.read_text("utf-8") + '[playbook]\npath = "own.toml"\n', "utf-8")
    assert stagecast("playbook", config, "--json").json["playbook"]["share"]["own"] is True
    assert "'x' is no stage of aips" in refusal("playbook", config, "--stage", "x")


def test_a_model_without_advice_is_refused_with_the_way_out(tmp_path):
    text = 'name = "mine"\n[[stages]]\nname = "seen"\nany = [{ kinds = ["impression"] }]\n'
    (tmp_path / "mine.toml").write_text(text, encoding="utf-8")
    config = desk(tmp_path, some_pairs()).path
    config.write_text(config.read_text("utf-8") + '[stages]\nmodel = "mine.toml"\n', "utf-8")
    said = refusal("playbook", config)
    assert "nothing is said of none, seen of the stage model mine; write [mine.none]" in said


def test_the_playbook_of_the_documentation_can_be_read_and_tells_of_every_key():
    page = (ROOT / "docs" / "playbook.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```toml\n(\[aips.*?)```", page, re.DOTALL)
    (parts,) = parse_playbook(text, "docs")["aips"].values()
    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == list(parts)
