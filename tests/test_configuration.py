"""The configuration: what is wrong is named by its key, with what was found and what would do."""

from pathlib import Path

import pytest

from features.errors import ConfigError
from stagecast.configuration import Settings, load_configuration

EVENTS = '[events]\npath = "events.parquet"\n'


def written(folder: Path, text: str) -> Path:
    path = folder / "stagecast.toml"
    path.write_text(text, encoding="utf-8")
    return path


def complaint(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as error:
        load_configuration(written(folder, text))
    return str(error.value)


def test_only_the_events_have_no_default(tmp_path):
    settings = load_configuration(written(tmp_path, EVENTS)).settings
    assert settings.forecast.horizons == (7, 14, 30, 60, 90)
    assert (settings.forecast.max_horizon, settings.forecast.decision_cycle_days) == (90, 30)
    assert (settings.stages.model, settings.engine.name) == ("aips", "duckdb")
    assert (settings.events.time_zone, settings.events.settle_days) == ("UTC", 0)
    assert settings.tracking.uri == "sqlite:///mlflow.db"
    assert (settings.releases.path, settings.scores.path) == ("releases", "scores")
    assert (settings.store.url, settings.store.keep_days) == ("lmdb:history", 730)
    assert (settings.serving.host, settings.serving.port) == ("127.0.0.1", 3000)
    assert settings.privacy.opt_outs == "opt_outs.txt"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ["[events]: missing; every configuration needs it"]),
        ("[events]\n", ["[events]: path: missing"]),
        (EVENTS + "[scoring]\n", ["[scoring]: unknown section"]),
        ("color = 1\n" + EVENTS, ["[color]: unknown section"]),
        (EVENTS + "[forecast]\nhorizon = [7]\n",
         ["[forecast] horizon: unknown key; did you mean 'horizons'?"]),
        (EVENTS + "[serving]\nbananas = 1\n",
         ["[serving] bananas: unknown key; known are: host, port"]),
        (EVENTS + '[engine]\nname = "oracle"\n', ["[engine] name: found 'oracle'", "'duckdb'"]),
        (EVENTS + '[engine]\nthreads = "many"\n', ["[engine] threads: found 'many'", "integer"]),
        (EVENTS + "[engine]\nthreads = 0\n", ["[engine] threads: found 0", "greater than"]),
        (EVENTS + '[forecast]\nhorizons = "7"\n', ["[forecast] horizons: found '7'"]),
        (EVENTS + "[forecast]\nhorizons = [7, 91]\n", ["91 is not from 1 to max_horizon = 90"]),
        (EVENTS + "[forecast]\nhorizons = [0]\n", ["0 is not from 1 to max_horizon = 90"]),
        (EVENTS + "[forecast]\nhorizons = []\n", ["[forecast]: horizons = []"]),
        (EVENTS + "[forecast]\nhorizons = [7, 7]\n", ["give each horizon once"]),
        (EVENTS + "[forecast]\nmax_horizon = 366\n", ["[forecast] max_horizon: found 366", "365"]),
        (EVENTS + "[serving]\nport = 70000\n", ["[serving] port: found 70000", "65535"]),
        (EVENTS + "[calendar]\npaydays = [0]\n", ["[calendar] paydays.0: found 0", "greater"]),
        (EVENTS + "[calendar]\npaydays = [1, 1]\n", ["[calendar] paydays: [1, 1]: give each day"]),
        (EVENTS + "[calendar]\ncampaigns = [618]\n",
         ["[calendar] campaigns.0: 618 is no local date; write one bare, as 2025-06-18."]),
        (EVENTS + "[calendar]\ncampaigns = [2025-06-18, { first = 2025-06-18, end = 2025-06-19 }]",
         ["[calendar] campaigns.1.end: unknown key", "known are: name, first, last"]),
        (EVENTS + "settle_days = -1\n", ["[events] settle_days: found -1"]),
        (EVENTS + 'time_zone = "Mars/Base"\n',
         ["[events] time_zone: 'Mars/Base' is no time zone", "'Asia/Shanghai'"]),
        (EVENTS + 'columns = { event_time = "occurred_at" }\n',
         ["[events] columns: 'event_time' is no column of ours",
          "the wrong way round? Write occurred_at = 'event_time'"]),
        (EVENTS + 'kinds = { note_read = "read" }\n',
         ["[events] kinds: note_read = 'read': 'read' is no kind of ours",
          "the wrong way round? Write read = 'note_read'"]),
        (EVENTS + "kinds = { read = 3 }\n", ["[events] kinds.read: found 3"]),
        (EVENTS + "kinds = { read = true }\n", ["[events] kinds.read: found True"]),
        ("events = 3\n", ["[events]: found 3"]),
        ("[events\n", ["is not TOML", "line 1"]),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named_with_what_would_do(tmp_path, text, said):
    message = complaint(tmp_path, text)
    assert str(tmp_path / "stagecast.toml") in message
    for part in said:
        assert part in message


def test_all_that_is_wrong_is_said_at_once(tmp_path):
    message = complaint(tmp_path, EVENTS + "[serving]\nport = 0\n[store]\nkeep_days = 'ever'\n")
    assert "[serving] port" in message
    assert "[store] keep_days" in message


def test_a_wrong_value_is_said_once(tmp_path):
    message = complaint(tmp_path, EVENTS + "kinds = { read = 3 }\n")
    assert message.count("kinds.read") == 1
    assert "literal" not in message.lower()


@pytest.mark.parametrize(
    "wrong",
    [
        'store = "{}"\n' + EVENTS,
        EVENTS + '[store]\nurl = ["{}"]\n',
        EVENTS + '[store]\nurl = "x{}"\n',
        EVENTS + '[store]\nurl = "{}"\ntimeout_ms = 0\npassword_env = "A"\n',
        EVENTS + '[store]\nurl = "{}"\npassword_env = "A"\n',
        EVENTS + '[store]\nkeep_days = "{}"\n',
    ],
)
def test_no_message_shows_a_password(tmp_path, wrong):
    message = complaint(tmp_path, wrong.format("redis://user:hunter2@host:6379/0"))
    assert "[store]" in message
    assert "hunter2" not in message


def test_a_file_that_cannot_be_read_says_why(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.toml cannot be read: No such file"):
        load_configuration(tmp_path / "nowhere.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_configuration(tmp_path)
    (tmp_path / "odd.toml").write_bytes(b"\xff\xfe[events]")
    with pytest.raises(ConfigError, match="it is not UTF-8 text"):
        load_configuration(tmp_path / "odd.toml")


def test_paths_are_relative_to_the_file_wherever_the_command_runs(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    written(tmp_path / "here", EVENTS + '[releases]\npath = "../published"\n')
    monkeypatch.chdir(tmp_path)
    found = load_configuration(Path("here") / "stagecast.toml")
    assert found.folder == tmp_path / "here"
    assert found.releases.resolve() == tmp_path / "published"
    assert found.dataset.folder == tmp_path / "here"


def test_a_date_is_midnight_in_the_time_zone_and_an_instant_is_itself(tmp_path):
    found = load_configuration(written(tmp_path, EVENTS + 'time_zone = "Asia/Shanghai"\n'))
    hour = 3_600_000_000
    assert found.instant("1970-01-02") == 16 * hour
    assert found.instant("1970-01-02T00:00:00") == 16 * hour
    assert found.instant("1970-01-02T00:00:00Z") == 24 * hour
    assert str(found.day(16 * hour)) == "1970-01-02"


@pytest.mark.parametrize(
    "text",
    ["", "tomorrow", "2025-02-30", "30.06.2025", "2025-06", "0001-01-01", "9999-12-31T23:00:00Z"],
)
def test_what_is_no_date_is_refused_with_one_that_is(tmp_path, text):
    found = load_configuration(written(tmp_path, EVENTS + 'time_zone = "Asia/Shanghai"\n'))
    with pytest.raises(ConfigError, match=r"--as-of: .* is no date; write one like 2025-06-30"):
        found.instant(text)


def test_settings_never_change():
    settings = Settings.model_validate({"events": {"path": "x"}})
    with pytest.raises(ValueError, match="frozen"):
        settings.serving.port = 1
