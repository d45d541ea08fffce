"""From a search to a purchase: what a user does where things are sold."""

import math
from typing import Final

from stagecast.simulation import kinds
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
from stagecast.simulation.scene import NOWHERE, Scene, Touch, paused, written

__all__ = ["bought_elsewhere", "decide", "learnt", "look_at_products", "shop"]


CART_WISH: Final = 0.4
PAY_WISH: Final = 0.2
AT_ONCE: Final = 0.05
# How sharply conviction divides those who pay from those who look on.
DECISIVENESS: Final = 3.0
REPORTED: Final = 0.25


@compiled
def learnt(scene: Scene, brand: int, amount: float) -> None:
    """Raise the intent by what the user found out: the less, the more they know already."""
    needed = scene.categories[scene.brand_category[brand], at.RESEARCH]
    tie = scene.ties[brand]
    tie[at.INTENT] += amount / needed / (1.0 + 0.4 * tie[at.INTENT])


@compiled
def _conviction(scene: Scene, brand: int) -> float:
    """Return how sure the user is of the product: by research, and by having had it."""
    tie = scene.ties[brand]
    had = scene.person[at.LOYAL] * min(tie[at.BOUGHT], 4.0)
    return float(math.log(tie[at.INTENT] + 0.4 * had + 0.05))


@compiled
def _wish(scene: Scene, brand: int) -> float:
    """Return how much the user would like to own the brand's product now, as a log-odds."""
    person, tie, facts = scene.person, scene.ties[brand], scene.brands[brand]
    want = scene.wants[scene.brand_category[brand], at.WANT]
    urge = 0.35 * math.log(want + 0.15) + DECISIVENESS * _conviction(scene, brand)
    bond = 0.3 * tie[at.LIKING]
    money = (
        person[at.DEAL] * (scene.spending + 0.6 * tie[at.COUPON])
        - person[at.THRIFT] * facts[at.DEARNESS]
    )
    return float(0.8 * facts[at.CONVERSION] + urge + bond + money)


@compiled
def _price_paid(scene: Scene, brand: int) -> float:
    tie = scene.ties[brand]
    price = scene.categories[scene.brand_category[brand], at.PRICE]
    price *= math.exp(scene.brands[brand, at.DEARNESS]) * log_normal(scene.rng, 0.4)
    pieces = 1.0 + math.floor(exponential(scene.rng) * (0.35 + 0.4 * max(scene.spending, 0.0)))
    price *= min(pieces, 12.0) * (0.85 if tie[at.COUPON] > 0.0 else 1.0)
    return float(math.floor(100.0 * price + 0.5)) / 100.0


@compiled
def _own_up(scene: Scene, brand: int) -> None:
    """Change the user's state as a purchase does, whoever has seen it."""
    category = scene.brand_category[brand]
    want, tie, rng = scene.wants[category], scene.ties[brand], scene.rng
    want[at.WANT] *= 0.1 * uniform(rng)
    want[at.FULFILLED] = scene.day + scene.second / 86_400.0
    want[at.HABIT] = min(want[at.HABIT] + 0.4 * uniform(rng), 1.0)
    for other in range(scene.ties.shape[0]):
        if scene.brand_category[other] == category:
            scene.ties[other, at.INTENT] *= 0.3
    joy = scene.brands[brand, at.GOODS] + normal(rng)
    tie[at.LIKING] += 0.15 * joy
    tie[at.BOUGHT] += 1.0
    tie[at.CART], tie[at.COUPON] = 0.0, 0.0
    tie[at.STORY] = scene.person[at.STORYTELLER] * math.exp(0.3 * abs(joy))
    tie[at.REGRET] = scene.brands[brand, at.REFUNDS] * math.exp(-0.5 * joy)


@compiled
def _pay(scene: Scene, brand: int, touch: Touch) -> None:
    value = _price_paid(scene, brand)
    if written(scene, kinds.PURCHASE, brand, touch, value):
        _own_up(scene, brand)
        scene.ties[brand, at.LAST_VALUE] = value


@compiled
def bought_elsewhere(scene: Scene, brand: int) -> None:
    """Buy in another shop: now and then an alliance of shops reports it.

    What was not reported is not refunded here; a note about it may well be written.
    """
    if uniform(scene.rng) < REPORTED:
        _pay(scene, brand, NOWHERE)
    else:
        _own_up(scene, brand)
        scene.ties[brand, at.REGRET] = 0.0


@compiled
def _coupon(scene: Scene, brand: int) -> None:
    tie, rng = scene.ties[brand], scene.rng
    offered = 0.04 + 0.2 * max(scene.spending, 0.0)
    if scene.campaign[brand] >= 0:
        offered += 0.12
    if tie[at.COUPON] == 0.0 and uniform(rng) < offered * min(scene.person[at.DEAL], 2.0):
        paused(scene, 15.0)
        if written(scene, kinds.COUPON_CLAIM, brand, NOWHERE, math.nan):
            tie[at.COUPON] = 1.0


@compiled
def decide(scene: Scene, brand: int, touch: Touch) -> None:
    """Put the product into the cart, or pay, or leave."""
    tie, rng = scene.ties[brand], scene.rng
    _coupon(scene, brand)
    longing = _wish(scene, brand)
    paused(scene, 40.0)
    if uniform(rng) < sigmoid(longing + CART_WISH):
        if written(scene, kinds.ADD_TO_CART, brand, touch, math.nan):
            tie[at.CART] = 1.0
            learnt(scene, brand, 0.3)
            paused(scene, 60.0)
            if uniform(rng) < sigmoid(longing + PAY_WISH):
                _pay(scene, brand, touch)
    elif uniform(rng) < AT_ONCE * sigmoid(longing + CART_WISH):
        _pay(scene, brand, touch)


@compiled
def look_at_products(scene: Scene, brand: int, touch: Touch) -> bool:
    """View a product or a few; say whether any was viewed."""
    rng, seen = scene.rng, 0
    chance = sigmoid(0.9 + 0.4 * scene.ties[brand, at.LIKING])
    while seen < 4 and uniform(rng) < chance * 0.45**seen:
        paused(scene, 35.0)
        if not written(scene, kinds.PRODUCT_VIEW, brand, touch, math.nan):
            break
        seen += 1
    learnt(scene, brand, 0.25 * seen)
    return seen > 0


@compiled
def _rival_of(scene: Scene, brand: int) -> int:
    """Draw another brand of the category that is on sale and on the user's mind; -1 is none."""
    for other in range(scene.weights.size):
        tie = scene.ties[other]
        scene.weights[other] = 0.0
        if (
            other != brand
            and scene.brand_category[other] == scene.brand_category[brand]
            and scene.brands[other, at.LAUNCH] <= scene.day
        ):
            scene.weights[other] = (
                (0.1 + tie[at.INTENT])
                * math.exp(0.5 * tie[at.LIKING])
                * scene.brands[other, at.POPULARITY]
            )
    return picked(scene.rng, scene.weights)


@compiled
def _compare(scene: Scene, brand: int) -> int:
    """Search a rival and view it; return the brand that wins."""
    rival = _rival_of(scene, brand)
    if rival < 0:
        return brand
    paused(scene, 25.0)
    written(scene, kinds.SEARCH, rival, NOWHERE, math.nan)
    if not look_at_products(scene, rival, NOWHERE):
        return brand
    edge = _wish(scene, rival) - _wish(scene, brand)
    return rival if uniform(scene.rng) < sigmoid(2.0 * edge) else brand


@compiled
def shop(scene: Scene, brand: int) -> None:
    """Search a brand, visit its store, view its products, perhaps a rival's, and decide."""
    rng = scene.rng
    want = scene.wants[scene.brand_category[brand], at.WANT]
    paused(scene, 20.0)
    if not written(scene, kinds.SEARCH, brand, NOWHERE, math.nan):
        return
    learnt(scene, brand, 0.25)
    if uniform(rng) < 0.2:
        paused(scene, 20.0)
        written(scene, kinds.STORE_VISIT, brand, NOWHERE, math.nan)
    if not look_at_products(scene, brand, NOWHERE):
        return
    is_new = scene.ties[brand, at.BOUGHT] == 0.0
    if is_new and uniform(rng) < 0.3 * want / (0.5 + want):
        brand = _compare(scene, brand)
    decide(scene, brand, NOWHERE)
