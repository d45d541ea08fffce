"""From a search to a purchase: what a user does where things are sold."""

import math
from typing import Final

from features.vocabulary import KIND_CODE
from stagecast.simulation import places as at
from stagecast.simulation.compilation import compiled
from stagecast.simulation.randomness import (
    exponential,
    log_normal,
    normal,
    picked,
    sigmoid,
    uniform,
)
from stagecast.simulation.state import NOWHERE, Scene, Touch, paused, written

__all__ = ["bought_elsewhere", "decide", "look_at_products", "own_up", "shop"]

SEARCH: Final = KIND_CODE["search"]
STORE_VISIT: Final = KIND_CODE["store_visit"]
PRODUCT_VIEW: Final = KIND_CODE["product_view"]
ADD_TO_CART: Final = KIND_CODE["add_to_cart"]
COUPON_CLAIM: Final = KIND_CODE["coupon_claim"]
PURCHASE: Final = KIND_CODE["purchase"]

CART_WISH: Final = -1.1
PAY_WISH: Final = -0.7
AT_ONCE: Final = 0.12


@compiled
def _acted(scene: Scene, kind: int, brand: int, touch: Touch, value: float) -> bool:
    return written(scene, kind, brand, scene.world.brand_category[brand], touch, value)


@compiled
def wish(scene: Scene, brand: int) -> float:
    """Return how much the user would like to own the brand's product now, as a log-odds."""
    person, tie, facts = scene.life.person, scene.life.ties[brand], scene.world.brands[brand]
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    urge = 0.9 * math.log(want + 0.04) + 0.6 * math.log(tie[at.INTENT] + 0.1)
    bond = 0.4 * tie[at.LIKING] + person[at.LOYAL] * math.log1p(tie[at.BOUGHT])
    money = (person[at.DEAL] * (scene.world.days[scene.day, at.SPENDING] + 0.6 * tie[at.COUPON])
             - person[at.THRIFT] * facts[at.DEARNESS])
    return facts[at.CONVERSION] + urge + bond + money


@compiled
def _price_paid(scene: Scene, brand: int) -> float:
    world, tie = scene.world, scene.life.ties[brand]
    price = world.categories[world.brand_category[brand], at.PRICE]
    price *= math.exp(world.brands[brand, at.DEARNESS]) * log_normal(scene.life.rng, 0.4)
    pieces = 1.0 + math.floor(exponential(scene.life.rng)
                              * (0.35 + 0.4 * max(world.days[scene.day, at.SPENDING], 0.0)))
    return round(price * min(pieces, 12.0) * (0.85 if tie[at.COUPON] > 0.0 else 1.0), 2)


@compiled
def own_up(scene: Scene, brand: int) -> None:
    """Change the user's state as a purchase does, whoever has seen it."""
    category = scene.world.brand_category[brand]
    want, tie, rng = scene.life.wants[category], scene.life.ties[brand], scene.life.rng
    want[at.WANT] *= 0.1 * uniform(rng)
    want[at.FULFILLED] = scene.day + scene.clock[0] / 86_400.0
    want[at.HABIT] = min(want[at.HABIT] + 0.25 * uniform(rng), 1.0)
    for other in range(scene.life.ties.shape[0]):
        if scene.world.brand_category[other] == category:
            scene.life.ties[other, at.INTENT] *= 0.5
    joy = scene.world.brands[brand, at.GOODS] + normal(rng)
    tie[at.LIKING] += 0.15 * joy
    tie[at.BOUGHT] += 1.0
    tie[at.CART], tie[at.COUPON] = 0.0, 0.0
    tie[at.STORY] = scene.life.person[at.STORYTELLER] * math.exp(0.3 * abs(joy))
    tie[at.REGRET] = scene.world.brands[brand, at.REFUNDS] * math.exp(-0.5 * joy)


@compiled
def _pay(scene: Scene, brand: int, touch: Touch) -> None:
    value = _price_paid(scene, brand)
    if _acted(scene, PURCHASE, brand, touch, value):
        own_up(scene, brand)
        scene.life.ties[brand, at.LAST_VALUE] = value


@compiled
def bought_elsewhere(scene: Scene, brand: int) -> None:
    """Buy in another shop: now and then an alliance of shops reports it."""
    if uniform(scene.life.rng) < 0.4:
        _pay(scene, brand, NOWHERE)
    else:
        own_up(scene, brand)


@compiled
def _coupon(scene: Scene, brand: int) -> None:
    tie, rng = scene.life.ties[brand], scene.life.rng
    offered = 0.04 + 0.2 * max(scene.world.days[scene.day, at.SPENDING], 0.0)
    if scene.world.campaign_on[scene.day, brand] >= 0:
        offered += 0.12
    if tie[at.COUPON] == 0.0 and uniform(rng) < offered * min(scene.life.person[at.DEAL], 2.0):
        paused(scene, 15.0)
        if _acted(scene, COUPON_CLAIM, brand, NOWHERE, math.nan):
            tie[at.COUPON] = 1.0


@compiled
def decide(scene: Scene, brand: int, touch: Touch) -> None:
    """Put the product into the cart, or pay, or leave."""
    tie, rng = scene.life.ties[brand], scene.life.rng
    _coupon(scene, brand)
    longing = wish(scene, brand)
    paused(scene, 40.0)
    if uniform(rng) < sigmoid(longing + CART_WISH):
        if _acted(scene, ADD_TO_CART, brand, touch, math.nan):
            tie[at.CART] = 1.0
            paused(scene, 60.0)
            if uniform(rng) < sigmoid(longing + PAY_WISH):
                _pay(scene, brand, touch)
    elif uniform(rng) < AT_ONCE * sigmoid(longing + CART_WISH):
        _pay(scene, brand, touch)


@compiled
def look_at_products(scene: Scene, brand: int, touch: Touch) -> bool:
    """View a product or a few; say whether any was viewed."""
    rng, seen = scene.life.rng, 0
    chance = sigmoid(0.9 + 0.4 * scene.life.ties[brand, at.LIKING])
    while seen < 4 and uniform(rng) < chance * 0.6 ** seen:
        paused(scene, 35.0)
        if not _acted(scene, PRODUCT_VIEW, brand, touch, math.nan):
            break
        seen += 1
    scene.life.ties[brand, at.INTENT] += 0.12 * seen
    return seen > 0


@compiled
def _rival_of(scene: Scene, brand: int) -> int:
    """Draw another brand of the category that is on sale and on the user's mind; -1 is none."""
    world = scene.world
    for other in range(scene.weights.size):
        tie = scene.life.ties[other]
        scene.weights[other] = 0.0
        if (other != brand and world.brand_category[other] == world.brand_category[brand]
                and world.brands[other, at.LAUNCH] <= scene.day):
            scene.weights[other] = ((0.05 + tie[at.INTENT]) * math.exp(0.5 * tie[at.LIKING])
                                    * world.brands[other, at.POPULARITY])
    return picked(scene.life.rng, scene.weights)


@compiled
def _compare(scene: Scene, brand: int) -> int:
    """Search a rival and view it; return the brand that wins."""
    rival = _rival_of(scene, brand)
    if rival < 0:
        return brand
    paused(scene, 25.0)
    _acted(scene, SEARCH, rival, NOWHERE, math.nan)
    if not look_at_products(scene, rival, NOWHERE):
        return brand
    edge = wish(scene, rival) - wish(scene, brand)
    return rival if uniform(scene.life.rng) < sigmoid(2.0 * edge) else brand


@compiled
def shop(scene: Scene, brand: int) -> None:
    """Search a brand, visit its store, view its products, perhaps a rival's, and decide."""
    rng = scene.life.rng
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    paused(scene, 20.0)
    if not _acted(scene, SEARCH, brand, NOWHERE, math.nan):
        return
    scene.life.ties[brand, at.INTENT] += 0.1
    if uniform(rng) < 0.3:
        paused(scene, 20.0)
        _acted(scene, STORE_VISIT, brand, NOWHERE, math.nan)
    if not look_at_products(scene, brand, NOWHERE):
        return
    if uniform(rng) < 0.3 * want / (0.5 + want):
        brand = _compare(scene, brand)
    decide(scene, brand, NOWHERE)
