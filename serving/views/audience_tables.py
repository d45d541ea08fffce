"""Tables of audiences, column by column."""

from serving.crowd.audience import Audience
from serving.crowd.audience_numbers import buyers_interval
from serving.views.words import Words

__all__ = ["tier_rows"]


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
