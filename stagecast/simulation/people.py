"""The users: what is known of them, what is hidden, and how they stand when the log begins."""

import math
from typing import Final

import numpy as np

from stagecast.simulation import places as at
from stagecast.simulation.compilation import Floats, Words, compiled
from stagecast.simulation.randomness import (
    exponential,
    log_normal,
    normal,
    picked,
    stream,
    uniform,
)
from stagecast.simulation.scene import Scene
from stagecast.simulation.world import WARM_UP

__all__ = ["AGE_BANDS", "GENDERS", "REGIONS", "born"]

GENDERS: Final = ("female", "male", None)
AGE_BANDS: Final = ("under_18", "18-22", "23-27", "28-32", "33-40", "over_40", None)
REGIONS: Final = ("north", "northeast", "east", "central", "south", "southwest", "northwest", None)

GENDER_SHARES: Final = np.array([0.72, 0.25, 0.03])
AGE_SHARES: Final = np.array([0.08, 0.29, 0.27, 0.16, 0.10, 0.05, 0.05])
REGION_SHARES: Final = np.array([0.16, 0.06, 0.32, 0.13, 0.18, 0.09, 0.04, 0.02])
TIER_SHARES: Final = np.array([0.24, 0.28, 0.21, 0.16, 0.11])
NEW_SHARE: Final = 0.22
# Sessions a day.
MEDIAN_ACTIVITY: Final = 0.0235

# How much each age (rows) is concerned by each category (columns), before the user's own share.
CONCERN_BY_AGE: Final = np.array(
    [
        [1.3, 1.4, 0.4, 0.6, 0.02],
        [1.4, 1.2, 0.9, 1.1, 0.05],
        [1.1, 1.0, 1.1, 1.2, 0.5],
        [0.8, 0.9, 1.2, 0.9, 1.8],
        [0.6, 0.9, 1.2, 0.7, 1.2],
        [0.4, 0.8, 0.9, 0.5, 0.3],
        [1.0, 1.0, 1.0, 1.0, 0.7],
    ]
)
CONCERN_BY_GENDER: Final = np.array(
    [[1.05, 1.0, 1.15, 1.2, 1.15], [0.85, 1.0, 0.45, 0.3, 0.6], [1.0, 1.0, 1.0, 1.0, 1.0]]
)
# Concern is spread widely; for baby food almost everyone has none and a few have much.
CONCERN_SPREAD: Final = np.array([1.1, 1.1, 1.2, 1.2, 1.7])


@compiled
def _describe(person: Floats, rng: Words) -> None:
    person[at.GENDER] = picked(rng, GENDER_SHARES)
    person[at.AGE] = picked(rng, AGE_SHARES)
    person[at.REGION] = picked(rng, REGION_SHARES)
    person[at.TIER] = 1 + picked(rng, TIER_SHARES)
    person[at.CREATOR] = 1.0 if uniform(rng) < 0.06 else 0.0


@compiled
def _give_traits(person: Floats, rng: Words, days: int) -> None:
    person[at.ACTIVITY] = min(
        MEDIAN_ACTIVITY * log_normal(rng, 1.0) * (1.0 + person[at.CREATOR]), 5.0
    )
    person[at.DRIFT] = 0.4 * normal(rng)
    person[at.JOINS] = math.floor(uniform(rng) * days) if uniform(rng) < NEW_SHARE else -WARM_UP
    person[at.LAPSE_RATE] = log_normal(rng, 0.8) / 160.0
    person[at.SCROLL] = 5.0 * log_normal(rng, 0.5)
    person[at.OPENNESS] = 0.6 * normal(rng)
    person[at.EXPRESSIVE] = log_normal(rng, 0.8) * (1.0 + 0.8 * person[at.CREATOR])
    person[at.CURIOUS] = log_normal(rng, 0.5)
    person[at.THRIFT] = max(0.0, 0.7 + 0.4 * normal(rng) + 0.12 * (person[at.TIER] - 3.0))
    person[at.DEAL] = log_normal(rng, 0.5)
    person[at.LOYAL] = 0.6 * log_normal(rng, 0.5)
    person[at.STORYTELLER] = log_normal(rng, 0.9) * (0.045 + 0.2 * person[at.CREATOR])
    person[at.SWAYED] = log_normal(rng, 0.4)


@compiled
def _give_habits(person: Floats, rng: Words) -> None:
    for peak in range(at.MORNING, at.NIGHT + 1):
        person[peak] = log_normal(rng, 0.9)
    person[at.NIGHT] *= 1.6
    person[at.EARLINESS] = 0.8 * normal(rng)


@compiled
def _grade(person: Floats, rng: Words) -> None:
    """Set what the platform says of a user: it knows their activity, roughly."""
    level = 5.0 + 1.3 * (math.log(person[at.ACTIVITY] / MEDIAN_ACTIVITY) + 0.9 * normal(rng))
    person[at.GRADE] = min(max(math.floor(level), 1.0), 10.0)
    chance = 0.04 + 0.015 * person[at.GRADE] + 0.03 * max(0.0, 3.0 - person[at.TIER])
    person[at.RED_CARD] = 1.0 if uniform(rng) < chance else 0.0


@compiled
def _give_wants(scene: Scene) -> None:
    """Draw the concerns, and the purchases before the log that nobody wrote down."""
    rng, person = scene.rng, scene.person
    age, gender = int(person[at.AGE]), int(person[at.GENDER])
    for category in range(scene.wants.shape[0]):
        want = scene.wants[category]
        spread = CONCERN_SPREAD[category]
        fair = CONCERN_BY_AGE[age, category] * CONCERN_BY_GENDER[gender, category]
        want[at.CONCERN] = fair * math.exp(spread * normal(rng) - 0.5 * spread * spread)
        want[at.PERIOD] = scene.categories[category, at.USED_UP] * log_normal(rng, 0.3)
        want[at.PACE] = log_normal(rng, 0.3)
        want[at.FULFILLED], want[at.ELSEWHERE_AT] = at.NEVER, at.NEVER
        if uniform(rng) < want[at.CONCERN] / (1.0 + want[at.CONCERN]):
            ago = 1.5 * want[at.PERIOD] * exponential(rng)
            want[at.FULFILLED] = person[at.JOINS] - ago
            want[at.HABIT] = 0.2 + 0.7 * uniform(rng)
        if uniform(rng) < 0.1 * want[at.CONCERN]:
            want[at.WANT] = exponential(rng)


@compiled
def _give_ties(scene: Scene) -> None:
    rng, person = scene.rng, scene.person
    for brand in range(scene.ties.shape[0]):
        tie, facts = scene.ties[brand], scene.brands[brand]
        years = abs(person[at.AGE] - facts[at.FOR_AGE]) if person[at.AGE] < 6.0 else 1.5
        fit = 0.3 - 0.25 * years + facts[at.FOR_TIER] * (person[at.TIER] - 3.0)
        tie[at.LIKING] = fit + 0.8 * normal(rng) * log_normal(rng, 0.35)
        tie[at.FAMILIAR] = uniform(rng) * facts[at.POPULARITY] * 0.5
        tie[at.NOTE_AT], tie[at.REFUND_AT], tie[at.LAST_MET] = at.NEVER, at.NEVER, at.NEVER
        want = scene.wants[scene.brand_category[brand]]
        if want[at.FULFILLED] > at.NEVER and uniform(rng) < 0.12 * math.exp(0.5 * tie[at.LIKING]):
            tie[at.BOUGHT] = 1.0 + math.floor(2.0 * uniform(rng))
        tie[at.FOLLOWS] = 1.0 if uniform(rng) < 0.02 * math.exp(0.6 * tie[at.LIKING]) else 0.0


@compiled
def born(scene: Scene, user: int, days: int) -> None:
    """Put into the scene user number ``user`` as it is when the log of so many days begins."""
    scene.person[at.INDEX] = user
    scene.rng[0] = stream(scene.seed, user, user, user)
    _describe(scene.person, scene.rng)
    _give_traits(scene.person, scene.rng, days)
    _give_habits(scene.person, scene.rng)
    _grade(scene.person, scene.rng)
    _give_wants(scene)
    _give_ties(scene)
