"""What passed the Complete Journey's tills: purchases, and the coupons redeemed with them."""

from typing import Final, Literal

__all__ = ["BrandOf", "tills_sql"]

BrandOf = Literal["manufacturer", "category"]

_BRAND_COLUMN: Final = {"manufacturer": "manufacturer_id", "category": "product_category"}

_CATALOGUE: Final = """
create table catalogue as
select product_id, {brand_column} as brand_id, product_category as category_id
from products where {brand_column} is not null
"""

# Cents, so that a sum is the same in whatever order the threads add it up.
_LINES: Final = """
create table lines as
select household_id as user_id, basket_id, store_id, week, product_id, brand_id, category_id,
       min(transaction_timestamp) over (partition by basket_id) as bought_at,
       round(sales_value * 100)::bigint as cents, coupon_disc > 0 as with_coupon
from transactions left join catalogue using (product_id)
"""

# arg_min passes over unknown categories: a purchase lacks one only if none is known.
_PURCHASES: Final = """
create table purchases as
select user_id, basket_id, brand_id, min(bought_at) as occurred_at, sum(cents) / 100 as value,
       arg_min(category_id, row(-cents, category_id)) as category_id
from (select user_id, basket_id, brand_id, category_id, min(bought_at) as bought_at,
             sum(cents)::bigint as cents
      from lines where brand_id is not null group by all)
group by user_id, basket_id, brand_id
"""

_ACQUAINTANCE: Final = """
create table acquaintance as
select user_id, brand_id, min(occurred_at) as since from purchases group by user_id, brand_id
"""

_COUPON_PRODUCTS: Final = """
create table coupon_products as
select distinct coupon_upc, campaign_id, product_id, brand_id, category_id
from coupons join catalogue using (product_id)
"""

# A redemption has a date only, and it is the shop's (in UTC a tenth of them would fall on days
# without a visit). The first basket of that day decides, never a better one that came later.
_CLAIMS: Final = """
create table claims as
with candidates as (
    select r.household_id as user_id, r.coupon_upc, r.campaign_id, l.basket_id, l.brand_id,
           row_number() over (
               partition by r.household_id, r.coupon_upc, r.campaign_id, r.redemption_date
               order by l.bought_at, l.basket_id, c.product_id is null, not l.with_coupon,
                        l.cents desc, l.brand_id) as place
    from coupon_redemptions r
    join (select distinct coupon_upc, campaign_id, brand_id from coupon_products) b
        using (coupon_upc, campaign_id)
    join lines l on l.user_id = r.household_id and l.brand_id = b.brand_id
        and (l.bought_at at time zone 'UTC' at time zone 'America/New_York')::date
            = r.redemption_date::date
    left join coupon_products c on c.coupon_upc = r.coupon_upc and c.campaign_id = r.campaign_id
        and c.product_id = l.product_id)
select c.user_id, c.brand_id, c.basket_id, c.coupon_upc, c.campaign_id, p.category_id,
       p.occurred_at + interval 1 second as occurred_at
from candidates c join purchases p using (basket_id, brand_id) where place = 1
"""


def tills_sql(brand: BrandOf) -> list[str]:
    """Return the statements that make ``catalogue``, ``lines``, ``purchases`` and ``claims``.

    ``acquaintance`` (since when a household has bought a brand) and ``coupon_products`` come too.
    """
    catalogue = _CATALOGUE.format(brand_column=_BRAND_COLUMN[brand])
    return [catalogue, _LINES, _PURCHASES, _ACQUAINTANCE, _COUPON_PRODUCTS, _CLAIMS]
