"""The words of the frame, of several pages and of the report in English."""

from collections.abc import Mapping
from typing import Final

__all__ = ["WORDS"]

WORDS: Final[Mapping[str, str]] = {
    # The frame.
    "page_crowd": "Crowd",
    "page_audience": "Audience",
    "page_roi": "ROI (T+x)",
    "page_cycles": "Decision cycles",
    "page_quality": "Model quality",
    "page_playbook": "Playbook",
    "sign_in_title": "Sign in",
    "sign_in": "Sign in",
    "sign_out": "Sign out",
    "signed_in_as": "Signed in as {name}",
    "name": "Name",
    "password": "Password",
    "wrong_password": "This name and this password do not belong together.",
    "wait": "Too many wrong passwords. Try again in {seconds} seconds.",
    "cannot": "This cannot be shown. What is wrong, and the way out:",
    # Words of several pages.
    "days": "{x} days",
    "day": "Day",
    "stage": "Stage",
    "brand": "Brand",
    "horizon": "Within",
    "pairs": "pairs",
    "money": "in the log's money",
    "buyers": "Buyers",
    "sales": "Sales",
    "interval": "80 %: {low} to {high}",
    "interval_80": "80 % interval",
    "as_table": "As a table",
    "no_census": "There is no census of the log as it is now. This command writes it:",
    "no_scores": "Nothing is scored yet. This command scores all pairs as of a day:",
    "no_champion": "No release is the champion. Train a run, then promote it:",
    # Stages of the shipped stage models.
    "stage_none": "None",
    "stage_awareness": "Awareness",
    "stage_interest": "Interest",
    "stage_true_interest": "True Interest",
    "stage_purchase": "Purchase",
    "stage_share": "Share",
    "stage_sympathize": "Sympathize",
    "stage_identify": "Identify",
    "stage_participate": "Participate",
    "stage_loyalty": "Loyalty",
    "stage_a1": "A1 Aware",
    "stage_a2": "A2 Appeal",
    "stage_a3": "A3 Ask",
    "stage_a4": "A4 Act",
    "stage_a5": "A5 Advocate",
    "stage_aware": "Aware",
    "stage_appeal": "Appeal",
    "stage_act": "Act",
    "stage_advocate": "Advocate",
    # The report.
    "report_day": "As of {day}, at the midnight with which it begins ({zone})",
    "report_release": "Forecasts by release {release}",
    "report_no_release": "No release has forecast this day",
    "report_stage_model": "Stage model {model}",
    "report_parts": "In this report",
    "needs_script": "Pictures are drawn by a browser that runs scripts: save this file, and open "
    "it there. Tables and tiles need none.",
    "no_picture": "This browser cannot draw the pictures; a newer one can.",
    "all_horizons_note": "Pairs at each stage by the end of so many days after {day}, and pairs "
    "that buy and sales (in the log's money) within them; below each number its interval of 80 %. "
    "Pairs that do not exist yet are in it.",
    "in_between": "{low} to {high}",
    "earlier_all_note": "Forecasts made {x} days before, laid over the census of the day that they "
    "spoke of; bars are intervals of 80 %, and {held} of {n} of all stages held what came.",
    "report_tiers_note": "Scored users of the brand by their probability of a purchase within {x} "
    "days after {day}, by release {release}; who opted out is in no number, and "
    "amounts are in the log's money.",
    "tier_rates": "Share that buys, by tier",
    "all_scored": "All scored users",
    "of_one_brand": "Tiers are those of one brand. This command writes its report:",
    "cycles_not_kept": "The decision cycles of the log as it is now are not kept. The first "
    "command tells them; the second keeps them for the report, on its page of decision cycles:",
    "more_categories": "And {n} more categories, of which fewer have bought.",
    "no_category": "The brand has no category, so it has no decision cycle of its own.",
    "returns_note": "The newest campaigns that touched this crowd and whose return is kept; T is "
    "each pair's first touch, amounts are in the log's money.",
    "returns_not_kept": "No return of a campaign of this crowd is kept. The first command tells "
    "one; the second keeps it for the report, on its page of returns:",
    "begun": "Began on",
    "as_of": "As of",
    "roi": "ROI",
}
