"""The Complete Journey's campaigns, mailers and displays, as impressions.

Its tables say where a product was promoted, not who saw it. An impression is therefore a rule's
guess, and each rule below reads only what was known at the end of the impression's day.
"""

from typing import Final, Literal

__all__ = ["Promotions", "promotions_sql"]

Promotions = Literal["prominent", "all"]

MOST_BRANDS_OF_A_COUPON: Final = 20
"""A coupon for more brands than this is one for a department, and shows no brand."""

PROMINENT: Final = {
    "mailer": ("D", "F", "H", "L", "Z"),  # front page, back page, front and back of the wrap
    "display": ("1", "3"),  # store front, front end cap
}

_END_OF_DAY: Final = "date_trunc('day', {0}) + interval 1 day - interval 1 microsecond"

# A campaign of type A is a pool, from which each household was sent sixteen coupons by what it
# had bought; which ones is not told. Its brands that the household knew by then stand for them.
_CAMPAIGN_IMPRESSIONS: Final = f"""
create table campaign_impressions as
with narrow as (
    select coupon_upc, campaign_id from coupon_products
    group by all having count(distinct brand_id) <= {MOST_BRANDS_OF_A_COUPON}),
shown as (
    select campaign_id, brand_id, arg_min(category_id, row(-products, category_id)) as category_id
    from (select campaign_id, brand_id, category_id, count(distinct product_id) as products
          from coupon_products join narrow using (coupon_upc, campaign_id) group by all)
    group by campaign_id, brand_id)
select household_id as user_id, shown.brand_id, campaign_id, category_id,
       {_END_OF_DAY.format("start_date")} as occurred_at
from campaigns
join campaign_descriptions d using (campaign_id)
join shown using (campaign_id)
left join acquaintance a on a.user_id = household_id and a.brand_id = shown.brand_id
where (campaign_type <> 'Type A' or a.since < start_date)
  and start_date >= (select min(bought_at)::date from lines)
"""

_OFFERS: Final = """
create table offers as
select store_id, week, brand_id, category_id, channel, count(*) as products
from (select product_id, store_id, week, 'mailer' as channel
      from promotions where mailer_location {mailer}
      union all
      select product_id, store_id, week, 'display'
      from promotions where display_location {display})
join catalogue using (product_id)
group by all
"""

# The first visit of the week that meets the offer, of a household that has bought the brand.
_PROMINENT_IMPRESSIONS: Final = f"""
create table promotion_impressions as
with brand_offers as (
    select store_id, week, brand_id, channel,
           arg_min(category_id, row(-products, category_id)) as category_id
    from offers group by store_id, week, brand_id, channel),
visits as (select distinct user_id, store_id, week, bought_at from lines)
select v.user_id, o.brand_id, o.channel,
       arg_min(o.category_id, row(v.bought_at, o.category_id)) as category_id,
       {_END_OF_DAY.format("min(v.bought_at)")} as occurred_at
from visits v
join brand_offers o using (store_id, week)
join acquaintance a on a.user_id = v.user_id and a.brand_id = o.brand_id
where a.since < v.bought_at
group by v.user_id, o.brand_id, o.channel, v.week
"""

# A view: hundreds of millions of rows, made a day at a time when they are written.
_ALL_IMPRESSIONS: Final = f"""
create view promotion_impressions as
with visits as (
    select distinct user_id, store_id, week, {_END_OF_DAY.format("bought_at")} as occurred_at
    from lines)
select user_id, brand_id, channel, category_id, occurred_at
from (select user_id, brand_id, channel, category_id, occurred_at,
             unnest(range(products)) as ordinal
      from visits join offers using (store_id, week))
"""


def promotions_sql(promotions: Promotions) -> list[str]:
    """Return the statements that make ``campaign_impressions`` and ``promotion_impressions``."""
    if promotions == "all":
        offers, impressions = _OFFERS.format(mailer="<> '0'", display="<> '0'"), _ALL_IMPRESSIONS
    else:
        places = {channel: f"in {codes}" for channel, codes in PROMINENT.items()}
        offers, impressions = _OFFERS.format(**places), _PROMINENT_IMPRESSIONS
    return [_CAMPAIGN_IMPRESSIONS, offers, impressions]
