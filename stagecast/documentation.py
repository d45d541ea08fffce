"""The page of the features, written from the catalogue so that it cannot fall behind.

``python -m stagecast.documentation`` writes it anew.
"""

from pathlib import Path
from typing import Final

from features.aggregates import LOOKBACK_DAYS
from features.catalogue import catalogue
from features.feature import Feature
from features.formula import Formula
from features.nouns import WHATS

__all__ = ["FEATURE_PAGE", "feature_page"]

FEATURE_PAGE: Final = Path(__file__).parents[1] / "docs" / "features.md"

_HEAD: Final = """\
# The features

<!-- Written by `python -m stagecast.documentation` from the catalogue; change it there. -->

A feature is a value of a moment: of a user, a brand and an `as_of`. It is computed from \
events strictly before `as_of`, and never from what comes later. There are {n} of them, and \
two kinds more that depend on your data: `impressions_30d_by_{{channel}}` for each channel that \
brings a hundredth of all impressions or more (eight at most), and `user_{{attribute}}` for each \
column of the users table. Those of the calendar are there where the log goes back two years \
before T. `stagecast features CONFIG` lists those of your log. One compiled \
kernel computes them, in training, in batches and in the service, from one declaration. What each \
group is worth stands in [the benchmarks](benchmarks.md).

## How to read a name

A name reads `{{what}}[_{{statistic}}]_{{window}}[_{{scope}}]`: `orders_90d` counts orders of \
the last 90 days, `order_value_sum_90d` adds up their amounts, `orders_90d_user` counts over \
all brands.

**Scope.** Without a suffix, the events of the pair count: this user with this brand. \
`_category`: the user's events in the pair's category, this brand's among them; an event's \
category is its own, else its brand's. `_user`: all events of the user. An event without a \
brand, such as a search for a category, counts in the category and for the user, and in no \
pair.

**Window.** `_30d` is the 30 days before `as_of`. A day is 24 hours. The window is half-open, \
`[as_of - 30 days, as_of)`: an event exactly 30 days old counts, one at `as_of` does not. No \
feature looks back more than {lookback} days.

**Decay.** `_decayed` features are counts in which an event weighs less the older it is. Its \
weight is ½ after one half-life, ¼ after two. `one_cycle`: the half-life is the decision cycle \
of the pair's category; `quarter_cycle`, `two_cycles` and `four_cycles` are that many of it. Ages \
are whole days of 24 hours.

**Days, streaks, sessions and gaps.** `active_days` and `order_days` count distinct local days, in \
the `time_zone` of the configuration. `active_streak_days` is how many local days without a break \
the last run of them has. `sessions` are runs of acts of which no two in turn are more than half \
an hour apart. `longest_gap_days` lies between the two acts in turn that are furthest apart. \
`days_since` features are exact to the microsecond, as fractions of a day.

**Since the last order.** `open_carts` and `searches_since_order` begin anew with each purchase.

**Where nothing is known.** Counts and amounts are 0. `missing` means that there is no value: \
the user never did it within {lookback} days. The models tell that apart from every number. A \
feature that is derived from others `follows its parts`: it is missing where one of them is.

## What is counted

| word | kinds of event |
|---|---|
"""
_COLUMNS: Final = """\
| name | unit | unknown | what it says |
|---|---|---|---|
"""


def feature_page() -> str:
    """Return the page: how to read a name, what is counted, and every feature by group."""
    features = catalogue()
    groups = dict.fromkeys(feature.group for feature in features)
    return "".join(
        [
            _HEAD.format(n=len(features), lookback=LOOKBACK_DAYS),
            *(f"| {_words(what)} | {_kinds(kinds)} |\n" for what, kinds in WHATS.items()),
            *(_section(group, [f for f in features if f.group == group]) for group in groups),
        ]
    )


def _words(what: str) -> str:
    return what.replace("_", " ")


def _kinds(kinds: tuple[str, ...]) -> str:
    every, acts = WHATS["contacts"], WHATS["acts"]
    if kinds == every:
        return "every kind"
    if kinds == acts:
        return "every kind but " + ", ".join(f"`{k}`" for k in every if k not in acts)
    return ", ".join(f"`{kind}`" for kind in kinds)


def _section(group: str, features: list[Feature]) -> str:
    return f"\n## {group.capitalize()}\n\n{_COLUMNS}" + "".join(map(_row, features))


def _row(feature: Feature) -> str:
    formula = f": `{feature.source.text}`" if isinstance(feature.source, Formula) else ""
    return (
        f"| `{feature.name}` | {feature.unit} | {feature.unknown} | {feature.sentence}{formula} |\n"
    )


if __name__ == "__main__":
    FEATURE_PAGE.write_text(feature_page(), encoding="utf-8")
