"""The tiers of a brand's scored users at the middle horizon."""

from serving.crowd.audience import Audience, summed
from serving.crowd.audience_choice import chosen
from serving.crowd.audience_crowd import crowd_of
from serving.crowd.audience_rules import AudienceRules
from serving.crowd.scored import ScoredFile, newest_scored
from serving.crowd.scored_origin import scored_brands, scored_stage_model
from serving.crowd.scored_pairs import open_scored
from serving.opt_outs import OptOuts
from serving.report.asked import Asked
from serving.report.markup import caption, picture, table
from serving.report.part import Part
from serving.views.audience_tables import buyers_tile, money_tiles, tier_rows
from serving.views.lift_chart import lift_chart
from serving.views.palette import ACCENT
from serving.views.stage_colours import NOWHERE
from serving.views.tiles import Tile, tiles_markup
from serving.views.words import Words

__all__ = ["audience_part"]


def audience_part(asked: Asked) -> Part:
    """Return how many users each tier of the newest scored file has, and what to expect of it."""
    words, brand = asked.words, asked.scope.brand
    if brand is None:
        way = f"stagecast report {asked.config} --brand BRAND --out FILE"
        return Part.without("tiers", words("of_one_brand"), way)
    if not any(asked.scores.glob("*.parquet")):
        way = f"stagecast score {asked.config} --as-of DATE"
        return Part.without("tiers", words("no_scores"), way)
    file, _ = newest_scored(asked.scores)
    audience = _everyone(asked, file, brand)
    horizon, day = audience.rules.horizon, asked.day_text(file.as_of)
    note = words("report_tiers_note", x=horizon, day=day, release=file.release)
    body = tiles_markup(_tiles(asked, audience)) + _picture(words, audience, day)
    body += table(tier_rows(words, audience), words("tiers"))
    if horizon < audience.crowd.cycle_days:
        body += caption(words("cycle_is_longer", x=audience.crowd.cycle_days))
    data = {"as_of": day, "release": file.release, "horizon": horizon, **audience.as_data()}
    return Part("tiers", body, f"{note} {words('tiers_note')}", data)


def _everyone(asked: Asked, file: ScoredFile, brand: str) -> Audience:
    """Return all scored users of a brand at the middle horizon, less those who opted out."""
    horizons = sorted(file.horizons)
    rules = AudienceRules(brand=brand, horizon=horizons[len(horizons) // 2])
    brands, opted_out = scored_brands(file, asked.releases), OptOuts(asked.opt_outs).ids()
    with open_scored(file, asked.dataset, brands, opted_out) as pairs:
        model = scored_stage_model(file, asked.releases, asked.dataset)
        crowd = crowd_of(pairs, brand, rules.horizon, model)
        return summed(pairs, crowd, chosen(pairs, crowd, rules))


def _tiles(asked: Asked, audience: Audience) -> list[Tile]:
    words, sums = asked.words, audience.expectation.sums
    return [
        Tile("users", words("all_scored"), sums.users, f"{sums.users:,}"),
        buyers_tile(words, audience.expectation),
        *money_tiles(words, audience.expectation),
    ]


def _picture(words: Words, audience: Audience, day: str) -> str:
    """Return the share that buys of each tier, and of everyone."""
    rows = [(words(f"tier_{name}"), tier, ACCENT) for name, tier in audience.tiers.items()]
    rows.append((words("all_scored"), audience.everyone, NOWHERE))
    title = words("tier_rates")
    return picture(lift_chart(words, rows), f"{title}: {day}", title)
