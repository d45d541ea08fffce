"""One sitting of a user: hunts for what is wanted, scrolls, and comes back to carts."""

import math
from typing import Final

from stagecast.simulation import kinds
from stagecast.simulation import places as at
from stagecast.simulation.compilation import compiled
from stagecast.simulation.notes import channel_of, meet, reached_by, touch_of
from stagecast.simulation.randomness import geometric, picked, uniform
from stagecast.simulation.scene import NOWHERE, Scene, paused, written
from stagecast.simulation.shop import decide, look_at_products, shop

__all__ = ["session"]

# A screen of the feed shows several notes at the same instant.
SAME_SCREEN: Final = 0.35


@compiled
def _on_sale(scene: Scene, brand: int) -> float:
    """Return 0 before the brand's launch, and how far it has become known after it."""
    age = scene.day - scene.brands[brand, at.LAUNCH]
    return 0.0 if age < 0.0 else min(1.0, 0.3 + age / 30.0)


@compiled
def _push(scene: Scene, brand: int) -> float:
    """Return how strongly a campaign pushes the brand's notes to this user today."""
    if scene.campaign[brand] < 0 or not reached_by(scene, brand):
        return 0.0
    return 0.8 * float(scene.pushing[brand, at.STRENGTH])


@compiled
def _weigh_feed(scene: Scene) -> None:
    """Set each brand's share of the user's feed, which learns what the user cares for."""
    for brand in range(scene.weights.size):
        tie = scene.ties[brand]
        concern = scene.wants[scene.brand_category[brand], at.CONCERN]
        care = (
            0.3
            + 0.5 * math.sqrt(concern)
            + 0.5 * min(tie[at.INTENT], 2.0)
            + 1.2 * tie[at.FOLLOWS]
            + 0.1 * min(tie[at.FAMILIAR], 5.0)
        )
        talk = scene.brands[brand, at.POPULARITY] * math.exp(scene.buzz[brand])
        push = _push(scene, brand)
        scene.weights[brand] = _on_sale(scene, brand) * (talk * care + push)


@compiled
def _scroll(scene: Scene) -> None:
    """See the notes of the feed, one after another."""
    rng = scene.rng
    _weigh_feed(scene)
    feed = scene.weights.copy()
    for _ in range(1 + geometric(rng, scene.person[at.SCROLL])):
        brand = picked(rng, feed)
        push = _push(scene, brand)
        if uniform(rng) * feed[brand] < push * _on_sale(scene, brand):
            campaign = scene.campaign[brand]
            channel = int(scene.pushing[brand, at.CHANNEL])
            touch = touch_of(scene, brand, channel, campaign)
        else:
            touch = touch_of(scene, brand, channel_of(scene, brand), kinds.NONE)
        if not meet(scene, brand, touch, 0.0):
            return
        if uniform(rng) > SAME_SCREEN:
            paused(scene, 9.0)


@compiled
def _weigh_shelf(scene: Scene, category: int, head_start: float) -> None:
    """Set each brand's share of what a searcher in the category finds, or remembers."""
    for brand in range(scene.weights.size):
        tie = scene.ties[brand]
        scene.weights[brand] = 0.0
        if scene.brand_category[brand] == category:
            mind = (
                head_start
                + tie[at.INTENT]
                + 0.05 * min(tie[at.FAMILIAR], 5.0)
                + 2.0 * scene.person[at.LOYAL] * min(tie[at.BOUGHT], 4.0)
            )
            scene.weights[brand] = (
                _on_sale(scene, brand)
                * mind
                * math.exp(0.5 * tie[at.LIKING])
                * scene.brands[brand, at.POPULARITY]
            )


@compiled
def _search_category(scene: Scene, category: int) -> None:
    """Search without a brand in mind, and look through what is found."""
    rng = scene.rng
    paused(scene, 15.0)
    if not written(scene, kinds.SEARCH, -1 - category, NOWHERE, math.nan):
        return
    _weigh_shelf(scene, category, 0.5)
    shelf = scene.weights.copy()
    for _ in range(2 + geometric(rng, 2.5)):
        paused(scene, 5.0)
        brand = picked(rng, shelf)
        channel = kinds.SEARCH_AD if uniform(rng) < 0.35 else kinds.ORGANIC
        touch = touch_of(scene, brand, channel, kinds.NONE)
        if brand < 0 or not meet(scene, brand, touch, 0.9):
            return


@compiled
def _research(scene: Scene, category: int) -> float:
    """Return how much the user has in mind of the category's brands, together."""
    total = 0.0
    for brand in range(scene.ties.shape[0]):
        if scene.brand_category[brand] == category:
            total += scene.ties[brand, at.INTENT]
    return min(total, 4.0)


@compiled
def _hunt(scene: Scene) -> None:
    """Go after what is wanted: by the category, by a brand's name, or both."""
    rng, person = scene.rng, scene.person
    for category in range(scene.wants.shape[0]):
        desire = scene.wants[category, at.WANT] + 0.1 * _research(scene, category)
        if uniform(rng) >= 0.36 * min(person[at.CURIOUS], 2.0) * desire / (0.7 + desire):
            continue
        if uniform(rng) < 0.5:
            _search_category(scene, category)
        _weigh_shelf(scene, category, 0.05)
        brand = picked(rng, scene.weights)
        if brand >= 0 and uniform(rng) < 0.75:
            shop(scene, brand)


@compiled
def _return_to_carts(scene: Scene) -> None:
    """Look again at what was left in a cart."""
    rng = scene.rng
    for brand in range(scene.ties.shape[0]):
        returns = uniform(rng) < 0.25 * scene.ties[brand, at.CART]
        if returns and look_at_products(scene, brand, NOWHERE):
            decide(scene, brand, NOWHERE)


@compiled
def session(scene: Scene) -> None:
    """Live one sitting, from the scene's clock on."""
    hunts_first = uniform(scene.rng) < 0.5
    if hunts_first:
        _hunt(scene)
    _scroll(scene)
    if not hunts_first:
        _hunt(scene)
    _return_to_carts(scene)
