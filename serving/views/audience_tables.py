"""Tiles and tables of audiences: what to expect of them."""

from typing import Final

from serving.crowd.audience import Audience
from serving.crowd.audience_numbers import Expectation, buyers_interval
from serving.views.tiles import Tile
from serving.views.words import Words

__all__ = ["buyers_tile", "money_tiles", "tier_rows"]

_HUNDREDS: Final = 100


def buyers_tile(words: Words, found: Expectation) -> Tile:
    """Return the expected buyers, with their interval."""
    low, high = buyers_interval(found.sums)
    ends = words("interval", low=f"{low:,}", high=f"{high:,}")
    return Tile("buyers", words("buyers"), found.sums.buyers, _shown(found.sums.buyers), note=ends)


def money_tiles(words: Words, found: Expectation) -> list[Tile]:
    """Return what is known of value and cost, of both together and of a buyer."""
    data, tiles = found.as_data(), []
    for name in ("expected_value", "cost", "cost_per_expected_buyer", "value_per_cost"):
        number = data[name]
        if number is not None:
            unit = words("times" if name == "value_per_cost" else "money")
            tiles.append(Tile(name, words(name), number, _shown(number, 2), unit))
    return tiles


def _shown(number: float, decimals: int = 1) -> str:
    """Return a number as people read it: decimals tell nothing where there are hundreds."""
    return f"{number:,.0f}" if number >= _HUNDREDS else f"{number:,.{decimals}f}"


def tier_rows(words: Words, audience: Audience) -> dict[str, list[str]]:
    """Return what to expect of each tier, by the heads of columns."""
    tiers = audience.tiers
    starts = (audience.crowd.core_from, audience.crowd.likely_from, 0.0)
    rows: dict[str, list[str]] = {
        words("tier"): [words(f"tier_{name}") for name in tiers],
        words("from_probability"): ["–" if p is None else f"{p:.2%}" for p in starts],
        words("audience_users"): [f"{found.sums.users:,}" for found in tiers.values()],
        words("buyers"): [f"{found.sums.buyers:,.1f}" for found in tiers.values()],
        words("interval_80"): [
            "{:,} … {:,}".format(*buyers_interval(found.sums)) for found in tiers.values()
        ],
        words("share_of_buyers"): [
            "–" if one.share_of_buyers is None else f"{one.share_of_buyers:.1%}"
            for one in tiers.values()
        ],
        words("lift"): ["–" if one.lift is None else f"{one.lift:.1f}" for one in tiers.values()],
    }
    if any(found.value is not None for found in tiers.values()):
        rows[words("expected_value")] = [f"{found.value or 0:,.0f}" for found in tiers.values()]
    return rows
