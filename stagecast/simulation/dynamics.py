"""A user's days: what a night changes, when they come to the platform, and what they do there."""

import math
from typing import Final

import numpy as np

from stagecast.simulation import kinds
from stagecast.simulation import places as at
from stagecast.simulation.compilation import Floats, compiled
from stagecast.simulation.randomness import log_normal, normal, picked, poisson, uniform
from stagecast.simulation.scene import DAY_SECONDS, NOWHERE, Scene, written
from stagecast.simulation.session import session
from stagecast.simulation.shop import bought_elsewhere

__all__ = ["dawn", "rest_of_day"]


# The hours about which people take up their telephones, and how far from them.
PEAK_HOURS: Final = np.array([9.0, 12.5, 18.5, 21.6])
PEAK_SPREAD: Final = np.array([1.3, 0.8, 1.0, 1.2])
# Two sessions lie this far apart at least: what begins earlier belongs to the one before.
REST_SECONDS: Final = 60.0


@compiled
def _hour(scene: Scene) -> float:
    """Draw a second of the day by the user's habits."""
    person, rng = scene.person, scene.rng
    if uniform(rng) < 0.12:
        return DAY_SECONDS * uniform(rng)
    peak = picked(rng, person[at.MORNING : at.NIGHT + 1])
    hour = PEAK_HOURS[peak] - person[at.EARLINESS] + PEAK_SPREAD[peak] * normal(rng)
    return float(hour % 24.0) * 3600.0


@compiled
def _come_or_stay_away(scene: Scene) -> None:
    """Set how many sessions today brings on average; users go quiet, and some come back."""
    person, rng, day = scene.person, scene.rng, scene.day
    person[at.DRIFT] = 0.975 * person[at.DRIFT] + 0.09 * normal(rng)
    person[at.BUSY_UNTIL] = 0.0
    if day >= person[at.AWAY_UNTIL] and uniform(rng) < person[at.LAPSE_RATE]:
        person[at.AWAY_UNTIL] = day + (1e6 if uniform(rng) < 0.12 else 18.0 * log_normal(rng, 1.0))
    person[at.RATE] = 0.0
    if day >= person[at.AWAY_UNTIL]:
        mood = log_normal(rng, 0.7) * scene.lively
        urge = 1.0 + 3.0 * min(scene.wants[:, at.WANT].sum(), 2.5)
        person[at.RATE] = min(person[at.ACTIVITY] * math.exp(person[at.DRIFT]) * mood * urge, 9.0)


@compiled
def _occasion_rate(scene: Scene, category: int) -> float:
    """Return the rate, a day, at which a want begins: by chance, or when the last one is used up.

    With t days since the last purchase, a used-up time p and a habit h, the second part is the
    Weibull hazard h k/p (t/p)^(k-1), k = 2.5, which no habit carries beyond twice the time.
    """
    want, facts = scene.wants[category], scene.categories[category]
    age = (scene.day - want[at.FULFILLED]) / want[at.PERIOD]
    if age < 0.0:
        return 0.0
    chance = facts[at.ONSET] * want[at.CONCERN] * -math.expm1(-(age**3))
    if age < 2.0:
        chance += want[at.HABIT] * 2.5 / want[at.PERIOD] * age**1.5
    return float(chance)


@compiled
def _want(scene: Scene) -> None:
    """Wear the wants down at the pace of their category, and let new ones begin."""
    rng = scene.rng
    for category in range(scene.wants.shape[0]):
        want = scene.wants[category]
        pace = scene.categories[category, at.TAU] * want[at.PACE]
        want[at.WANT] *= math.exp(-1.0 / pace)
        if uniform(rng) < -math.expm1(-_occasion_rate(scene, category)):
            want[at.WANT] = min(want[at.WANT] + 0.8 * log_normal(rng, 0.6), 4.0)


@compiled
def _forget(scene: Scene) -> None:
    """Wear down what the user has in mind of each brand."""
    for brand in range(scene.ties.shape[0]):
        tie, category = scene.ties[brand], scene.brand_category[brand]
        pace = (
            scene.categories[category, at.TAU]
            * scene.wants[category, at.PACE]
            * scene.brands[brand, at.STICKINESS]
        )
        tie[at.INTENT] *= math.exp(-1.0 / pace)
        tie[at.FATIGUE] *= 0.86
        tie[at.CART] *= 0.9
        tie[at.COUPON] = tie[at.COUPON] * 0.85 if tie[at.COUPON] > 0.2 else 0.0
        tie[at.FAMILIAR] *= 0.992


@compiled
def _plan_after_purchase(scene: Scene) -> None:
    """Draw which purchases are written about, and which are sent back, today."""
    rng = scene.rng
    for brand in range(scene.ties.shape[0]):
        tie = scene.ties[brand]
        if tie[at.STORY] > 1e-4:
            tie[at.NOTE_AT] = _hour(scene) if uniform(rng) < 0.12 * tie[at.STORY] else at.NEVER
            tie[at.STORY] *= 0.9
        if tie[at.REGRET] > 1e-4:
            tie[at.REFUND_AT] = _hour(scene) if uniform(rng) < 0.13 * tie[at.REGRET] else at.NEVER
            tie[at.REGRET] *= 0.87


@compiled
def _pick_elsewhere(scene: Scene, category: int) -> int:
    for brand in range(scene.weights.size):
        tie, facts = scene.ties[brand], scene.brands[brand]
        known = scene.brand_category[brand] == category and facts[at.LAUNCH] <= scene.day
        mind = 0.02 + tie[at.INTENT] + 0.1 * min(tie[at.FAMILIAR] + tie[at.BOUGHT], 5.0)
        scene.weights[brand] = (
            mind * facts[at.POPULARITY] * math.exp(0.6 * tie[at.LIKING]) if known else 0.0
        )
    return picked(scene.rng, scene.weights)


@compiled
def _plan_elsewhere(scene: Scene) -> None:
    """Draw whether a want is met today in another shop, where the platform does not look."""
    rng = scene.rng
    for category in range(scene.wants.shape[0]):
        want = scene.wants[category]
        pace = scene.categories[category, at.TAU]
        spending = math.exp(0.5 * scene.spending)
        want[at.ELSEWHERE_AT] = at.NEVER
        if uniform(rng) < -math.expm1(-0.02 * want[at.WANT] * spending / pace):
            want[at.ELSEWHERE_BRAND] = _pick_elsewhere(scene, category)
            want[at.ELSEWHERE_AT] = _hour(scene)


@compiled
def dawn(scene: Scene) -> None:
    """Carry the user's state over local midnight, into the scene's day."""
    _want(scene)
    _forget(scene)
    _come_or_stay_away(scene)
    _plan_after_purchase(scene)
    _plan_elsewhere(scene)


@compiled
def _settle_notes(scene: Scene, until: float) -> None:
    """Write the notes and refunds that are due before a second of the day."""
    for brand in range(scene.ties.shape[0]):
        tie = scene.ties[brand]
        if 0.0 <= tie[at.REFUND_AT] < until:
            scene.second = max(scene.second, tie[at.REFUND_AT])
            written(scene, kinds.REFUND, brand, NOWHERE, tie[at.LAST_VALUE])
            tie[at.REFUND_AT], tie[at.REGRET] = at.NEVER, 0.0
            tie[at.LIKING] -= 0.3
            scene.second += 1.0
        if 0.0 <= tie[at.NOTE_AT] < until:
            scene.second = max(scene.second, tie[at.NOTE_AT])
            written(scene, kinds.PUBLISH_NOTE, brand, NOWHERE, math.nan)
            tie[at.NOTE_AT], tie[at.STORY] = at.NEVER, 0.3 * tie[at.STORY]
            scene.second += 1.0


@compiled
def _settle(scene: Scene, until: float) -> None:
    """Let happen what is due before a second of the day, in an order that time does not mind."""
    scene.second = max(scene.second, scene.person[at.BUSY_UNTIL])
    _settle_notes(scene, until)
    for category in range(scene.wants.shape[0]):
        want = scene.wants[category]
        if 0.0 <= want[at.ELSEWHERE_AT] < until:
            scene.second = max(scene.second, want[at.ELSEWHERE_AT])
            bought_elsewhere(scene, int(want[at.ELSEWHERE_BRAND]))
            want[at.ELSEWHERE_AT] = at.NEVER
            scene.second += 1.0
    scene.person[at.BUSY_UNTIL] = scene.second


@compiled
def _starts(scene: Scene) -> Floats:
    """Draw the seconds at which today's sessions would begin, in order: a Poisson process."""
    starts = np.empty(poisson(scene.rng, scene.person[at.RATE]))
    for number in range(starts.size):
        start, place = _hour(scene), number
        while place > 0 and starts[place - 1] > start:
            starts[place] = starts[place - 1]
            place -= 1
        starts[place] = start
    return starts


@compiled
def _sessions(scene: Scene) -> bool:
    """Live the sessions that begin today, from the clock on; say whether the stream forked."""
    forks = scene.forks_after > 0
    for start in _starts(scene):
        if start < scene.person[at.BUSY_UNTIL]:
            continue
        _settle(scene, start)
        scene.second = max(start, scene.person[at.BUSY_UNTIL])
        session(scene)
        scene.person[at.BUSY_UNTIL] = scene.second + REST_SECONDS
        if forks and scene.forks_after == 0:
            return True
    return False


@compiled
def rest_of_day(scene: Scene) -> None:
    """Live the day.

    The beginnings of sessions are a Poisson process, so those after any instant owe nothing to
    those before: where the stream forks, the rest of the day is drawn anew.
    """
    while _sessions(scene):
        pass
    _settle(scene, DAY_SECONDS)
