"""One sitting of a user: hunts for what is wanted, scrolls, and comes back to carts."""

import math
from typing import Final

from features.vocabulary import KIND_CODE
from stagecast.simulation import places as at
from stagecast.simulation.compilation import compiled
from stagecast.simulation.notes import channel_of, meet, reached_by, touch_of
from stagecast.simulation.randomness import geometric, picked, uniform
from stagecast.simulation.shop import decide, look_at_products, shop
from stagecast.simulation.state import NOWHERE, Scene, paused, written
from stagecast.simulation.world import CHANNELS

__all__ = ["session"]

SEARCH: Final = KIND_CODE["search"]
SEARCH_AD: Final = CHANNELS.index("search_ad")
ORGANIC: Final = CHANNELS.index("organic")
# A screen of the feed shows several notes at the same instant.
SAME_SCREEN: Final = 0.35


@compiled
def _on_sale(scene: Scene, brand: int) -> float:
    """Return 0 before the brand's launch, and how far it has become known after it."""
    age = scene.day - scene.world.brands[brand, at.LAUNCH]
    return 0.0 if age < 0.0 else min(1.0, 0.3 + age / 30.0)


@compiled
def _push(scene: Scene, brand: int) -> float:
    """Return how strongly a campaign pushes the brand's notes to this user today."""
    campaign = scene.world.campaign_on[scene.day, brand]
    if campaign < 0 or not reached_by(scene, campaign):
        return 0.0
    return float(scene.world.campaigns[campaign, at.STRENGTH])


@compiled
def _weigh_feed(scene: Scene) -> None:
    """Set each brand's share of the user's feed, which learns what the user cares for."""
    world, life = scene.world, scene.life
    for brand in range(scene.weights.size):
        tie = life.ties[brand]
        concern = life.wants[world.brand_category[brand], at.CONCERN]
        care = (0.3 + 0.5 * math.sqrt(concern) + 0.5 * min(tie[at.INTENT], 2.0)
                + 1.2 * tie[at.FOLLOWS] + 0.1 * min(tie[at.FAMILIAR], 5.0))
        talk = world.brands[brand, at.POPULARITY] * math.exp(world.buzz[scene.day, brand])
        push = 0.5 * _push(scene, brand)
        scene.weights[brand] = _on_sale(scene, brand) * (talk * care + push)


@compiled
def _scroll(scene: Scene) -> None:
    """See the notes of the feed, one after another."""
    rng, world = scene.life.rng, scene.world
    _weigh_feed(scene)
    feed = scene.weights.copy()
    for _ in range(1 + geometric(rng, scene.life.person[at.SCROLL])):
        brand = picked(rng, feed)
        push = 0.5 * _push(scene, brand)
        if uniform(rng) * feed[brand] < push * _on_sale(scene, brand):
            campaign = world.campaign_on[scene.day, brand]
            channel = int(world.campaigns[campaign, at.CHANNEL])
            touch = touch_of(scene, brand, channel, campaign)
        else:
            touch = touch_of(scene, brand, channel_of(scene, brand), -1)
        if not meet(scene, brand, touch, 0.0):
            return
        if uniform(rng) > SAME_SCREEN:
            paused(scene, 9.0)


@compiled
def _weigh_shelf(scene: Scene, category: int, head_start: float) -> None:
    """Set each brand's share of what a searcher in the category finds, or remembers."""
    world = scene.world
    for brand in range(scene.weights.size):
        tie = scene.life.ties[brand]
        scene.weights[brand] = 0.0
        if world.brand_category[brand] == category:
            mind = head_start + tie[at.INTENT] + 0.1 * min(tie[at.FAMILIAR], 5.0)
            scene.weights[brand] = (_on_sale(scene, brand) * mind
                                    * math.exp(0.5 * tie[at.LIKING])
                                    * world.brands[brand, at.POPULARITY])


@compiled
def _search_category(scene: Scene, category: int) -> None:
    """Search without a brand in mind, and look through what is found."""
    rng = scene.life.rng
    paused(scene, 15.0)
    if not written(scene, SEARCH, -1, category, NOWHERE, math.nan):
        return
    _weigh_shelf(scene, category, 0.5)
    shelf = scene.weights.copy()
    for _ in range(2 + geometric(rng, 2.5)):
        paused(scene, 5.0)
        brand = picked(rng, shelf)
        channel = SEARCH_AD if uniform(rng) < 0.35 else ORGANIC
        if brand < 0 or not meet(scene, brand, touch_of(scene, brand, channel, -1), 0.7):
            return


@compiled
def _hunt(scene: Scene) -> None:
    """Go after what is wanted: by the category, by a brand's name, or both."""
    rng, person = scene.life.rng, scene.life.person
    for category in range(scene.life.wants.shape[0]):
        want = scene.life.wants[category, at.WANT]
        if uniform(rng) >= 0.3 * min(person[at.CURIOUS], 2.5) * want / (0.7 + want):
            continue
        if uniform(rng) < 0.5:
            _search_category(scene, category)
        _weigh_shelf(scene, category, 0.05)
        brand = picked(rng, scene.weights)
        if brand >= 0 and uniform(rng) < 0.7:
            shop(scene, brand)


@compiled
def _return_to_carts(scene: Scene) -> None:
    """Look again at what was left in a cart."""
    rng = scene.life.rng
    for brand in range(scene.life.ties.shape[0]):
        if uniform(rng) < 0.25 * scene.life.ties[brand, at.CART]:
            if look_at_products(scene, brand, NOWHERE):
                decide(scene, brand, NOWHERE)


@compiled
def session(scene: Scene) -> None:
    """Live one sitting, from the scene's clock on."""
    hunts_first = uniform(scene.life.rng) < 0.5
    if hunts_first:
        _hunt(scene)
    _scroll(scene)
    if not hunts_first:
        _hunt(scene)
    _return_to_carts(scene)
