"""What a user does with notes: sees them, passes by, reads, reacts, and follows them up."""

import math
from typing import Final

import numpy as np

from stagecast.simulation import kinds
from stagecast.simulation import places as at
from stagecast.simulation.compilation import compiled
from stagecast.simulation.randomness import log_normal, picked, share, sigmoid, uniform
from stagecast.simulation.scene import NOWHERE, Scene, Touch, paused, written
from stagecast.simulation.shop import decide, learnt, look_at_products, shop

__all__ = ["channel_of", "meet", "reached_by", "touch_of"]


# How readily a note is opened, by channel.
PULL: Final = np.array([-0.7, 0.3, -1.2, 0.4, 0.3, 0.0, -0.2, 0.2, 0.2, 0.6])
LURE: Final = -3.4


@compiled
def reached_by(scene: Scene, brand: int) -> bool:
    """Say whether the brand's campaign is aimed at the user: the same on all of its days."""
    person, facts = scene.person, scene.pushing[brand]
    reach = facts[at.REACH] * (1.3 if person[at.AGE] == facts[at.TARGET_AGE] else 0.8)
    draw = share(scene.seed, int(person[at.INDEX]), 1_000_000 + scene.campaign[brand])
    return bool(draw < reach)


@compiled
def channel_of(scene: Scene, brand: int) -> int:
    """Draw the channel of a note that no campaign pushes."""
    return picked(scene.rng, scene.channels[brand])


@compiled
def touch_of(scene: Scene, brand: int, channel: int, campaign: int) -> Touch:
    """Return where a note of the brand is met, its format drawn."""
    is_video = uniform(scene.rng) < scene.brands[brand, at.VIDEO]
    return Touch(channel, kinds.VIDEO if is_video else kinds.PICTURE, campaign)


@compiled
def _noted(scene: Scene, kind: int, brand: int, touch: Touch) -> bool:
    return written(scene, kind, brand, touch, math.nan)


@compiled
def _craft(scene: Scene, brand: int, touch: Touch) -> float:
    """Return how well the note is made."""
    craft = float(scene.brands[brand, at.QUALITY])
    return craft + float(scene.pushing[brand, at.CRAFT]) if touch.campaign >= 0 else craft


@compiled
def _lure(scene: Scene, brand: int, touch: Touch) -> float:
    """Return the log-odds that the user opens the note."""
    tie, person = scene.ties[brand], scene.person
    want = scene.wants[scene.brand_category[brand], at.WANT]
    mind = 0.6 * math.log1p(3.0 * want) + 0.5 * min(tie[at.INTENT], 2.0) - 0.35 * tie[at.FATIGUE]
    place = PULL[touch.channel] + (0.15 if touch.note_format == kinds.VIDEO else 0.0)
    bond = 0.5 * tie[at.LIKING] + person[at.OPENNESS]
    return float(LURE + 0.5 * _craft(scene, brand, touch) + bond + mind + place)


@compiled
def _absorb(scene: Scene, brand: int, touch: Touch) -> None:
    """Raise the intent, as a note that is read does: more where it meets a want."""
    tie, person = scene.ties[brand], scene.person
    want = scene.wants[scene.brand_category[brand], at.WANT]
    force = math.exp(0.3 * _craft(scene, brand, touch) + 0.2 * tie[at.LIKING])
    gain = 0.2 * person[at.SWAYED] * force * (0.4 + min(want, 1.5)) * log_normal(scene.rng, 0.4)
    learnt(scene, brand, min(gain, 2.0))
    tie[at.FAMILIAR] += 0.1


@compiled
def _perhaps(scene: Scene, kind: int, brand: int, touch: Touch, chance: float) -> bool:
    if uniform(scene.rng) >= chance:
        return False
    paused(scene, 8.0)
    return _noted(scene, kind, brand, touch)


@compiled
def _respond(scene: Scene, brand: int, touch: Touch) -> None:
    """Like, collect, comment, pass on, follow or join, each with its own readiness."""
    tie, person = scene.ties[brand], scene.person
    want = scene.wants[scene.brand_category[brand], at.WANT]
    warmth = person[at.EXPRESSIVE] * math.exp(
        0.4 * _craft(scene, brand, touch) + 0.3 * tie[at.LIKING]
    )
    _perhaps(scene, kinds.LIKE, brand, touch, min(0.13 * warmth, 0.8))
    if _perhaps(scene, kinds.COLLECT, brand, touch, min((0.03 + 0.08 * want) * warmth, 0.7)):
        learnt(scene, brand, 0.3)
    _perhaps(scene, kinds.COMMENT, brand, touch, min(0.02 * warmth, 0.4))
    _perhaps(scene, kinds.SHARE_NOTE, brand, touch, min(0.013 * warmth, 0.3))
    follows = 0.012 if tie[at.FOLLOWS] == 0.0 else 0.0
    if _perhaps(scene, kinds.FOLLOW, brand, touch, min(follows * warmth, 0.3)):
        tie[at.FOLLOWS] = 1.0
    joins = 0.12 if touch.channel == kinds.TOPIC else 0.003
    _perhaps(scene, kinds.TOPIC_JOIN, brand, touch, min(joins * warmth, 0.5))


@compiled
def _follow_up(scene: Scene, brand: int, touch: Touch) -> None:
    """Search the brand after reading of it, or go to the product that the note links to."""
    tie, person, rng = scene.ties[brand], scene.person, scene.rng
    want = scene.wants[scene.brand_category[brand], at.WANT]
    keen = 0.8 * math.log(tie[at.INTENT] + 0.05) + 0.4 * math.log(want + 0.05)
    if uniform(rng) < min(person[at.CURIOUS], 3.0) * sigmoid(-2.3 + keen):
        shop(scene, brand)
    elif uniform(rng) < (0.15 if touch.channel == kinds.LIVE else 0.03) * (0.5 + min(want, 2.0)):
        linked = Touch(touch.channel, kinds.NONE, touch.campaign)
        if look_at_products(scene, brand, linked):
            decide(scene, brand, linked)
    elif person[at.CREATOR] > 0.0 and uniform(rng) < 0.002 * person[at.EXPRESSIVE]:
        # Creators also write about what they have only read of.
        paused(scene, 600.0)
        _noted(scene, kinds.PUBLISH_NOTE, brand, NOWHERE)


@compiled
def _open(scene: Scene, brand: int, touch: Touch) -> None:
    """Open a note: return at once, or read it and perhaps act."""
    tie = scene.ties[brand]
    want = scene.wants[scene.brand_category[brand], at.WANT]
    boredom = -0.7 - 0.7 * _craft(scene, brand, touch) - 0.5 * tie[at.LIKING] - 0.4 * min(want, 2.0)
    paused(scene, 2.0)
    if uniform(scene.rng) < sigmoid(boredom):
        _noted(scene, kinds.NOTE_BOUNCE, brand, touch)
        tie[at.FATIGUE] += 0.2
        return
    kind = kinds.VIDEO_PLAY if touch.note_format == kinds.VIDEO else kinds.NOTE_READ
    if _noted(scene, kind, brand, touch):
        _absorb(scene, brand, touch)
        paused(scene, 25.0)
        _respond(scene, brand, touch)
        _follow_up(scene, brand, touch)


@compiled
def meet(scene: Scene, brand: int, touch: Touch, eagerness: float) -> bool:
    """Show a note to the user, who passes by, opens it, or sends it away."""
    tie, rng = scene.ties[brand], scene.rng
    if not _noted(scene, kinds.IMPRESSION, brand, touch):
        return False
    tie[at.FATIGUE] = min(tie[at.FATIGUE] + 0.12, 4.0)
    tie[at.FAMILIAR] += 0.01
    if uniform(rng) < sigmoid(_lure(scene, brand, touch) + eagerness):
        _open(scene, brand, touch)
    elif uniform(rng) < 0.0010 * math.exp(0.3 * tie[at.FATIGUE] - 0.8 * tie[at.LIKING]):
        paused(scene, 3.0)
        _noted(scene, kinds.NOT_INTERESTED, brand, touch)
        tie[at.LIKING] -= 0.3
    return True
