"""The context: which channels have features, when the calendar has, and that it can be stored."""

import json

import pandas as pd
import pytest

from features.calendar import Calendar
from features.catalogue import catalogue
from features.context import Context, learn_context
from features.engine import open_engine
from tests.engines import SETTINGS, log_of
from tests.random_logs import DAY, START, instants

T = START + 800 * DAY


def learnt(channels, first=START, before=T):
    """The context of a log with so many impressions by each channel, and one long before."""
    named = [name for name, n in channels.items() for _ in range(n)]
    log = pd.DataFrame(
        {
            "user_id": "u",
            "brand_id": "b",
            "kind": "impression",
            "occurred_at": instants([first] + [T - DAY] * len(named)),
            "channel": pd.Series([None, *named], dtype="str"),
            "category_id": pd.Series([None] * (len(named) + 1), dtype="str"),
            "value": float("nan"),
        }
    )
    with open_engine(SETTINGS, "UTC") as engine:
        table = log_of(engine, log, "UTC").table
        return learn_context(table, None, Calendar("UTC"), before)


def test_a_channel_has_a_feature_where_it_brings_a_hundredth_of_the_impressions():
    context = learnt({"kol": 150, "feed ad": 49, "rare": 1})
    assert context.channels == ("feed ad", "kol")
    names = [feature.name for feature in catalogue(context)]
    assert "impressions_30d_by_feed_ad" in names
    assert "impressions_30d_by_rare" not in names


def test_of_channels_whose_names_read_the_same_the_most_frequent_one_has_the_feature():
    assert learnt({"Feed-Ad": 5, "feed ad": 6, "!!": 9}).channels == ("feed ad",)


def test_at_most_eight_channels_have_features_the_most_frequent_ones():
    channels = learnt({f"c{n}": 10 + n for n in range(12)}).channels
    assert channels == tuple(sorted(f"c{n}" for n in range(4, 12)))


def test_what_comes_at_t_or_after_it_is_no_channel():
    assert learnt({"kol": 10}, before=T - DAY).channels == ()


@pytest.mark.parametrize(("days", "seasons"), [(729, False), (730, True)])
def test_the_calendar_has_features_where_the_log_goes_back_two_years(days, seasons):
    context = learnt({"kol": 1}, first=T - days * DAY)
    assert context.seasons is seasons
    assert ("weekday" in [feature.name for feature in catalogue(context)]) is seasons


def test_a_context_comes_back_from_json():
    context = learnt({"kol": 1})
    assert Context.from_data(json.loads(json.dumps(context.as_data()))) == context
