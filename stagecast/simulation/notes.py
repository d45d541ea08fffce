"""What a user does with notes: sees them, passes by, reads, reacts, and follows them up."""

import math
from typing import Final

import numpy as np

from features.vocabulary import KIND_CODE
from stagecast.simulation import places as at
from stagecast.simulation.compilation import compiled
from stagecast.simulation.randomness import log_normal, picked, share, sigmoid, uniform
from stagecast.simulation.shop import decide, look_at_products, shop
from stagecast.simulation.state import NOWHERE, Scene, Touch, paused, written
from stagecast.simulation.world import CHANNELS

__all__ = ["channel_of", "meet", "reached_by", "touch_of"]

IMPRESSION: Final = KIND_CODE["impression"]
NOTE_READ: Final = KIND_CODE["note_read"]
NOTE_BOUNCE: Final = KIND_CODE["note_bounce"]
VIDEO_PLAY: Final = KIND_CODE["video_play"]
LIKE: Final = KIND_CODE["like"]
COLLECT: Final = KIND_CODE["collect"]
COMMENT: Final = KIND_CODE["comment"]
SHARE_NOTE: Final = KIND_CODE["share_note"]
FOLLOW: Final = KIND_CODE["follow"]
TOPIC_JOIN: Final = KIND_CODE["topic_join"]
NOT_INTERESTED: Final = KIND_CODE["not_interested"]
PUBLISH_NOTE: Final = KIND_CODE["publish_note"]

TOPIC: Final = CHANNELS.index("topic")
ORGANIC: Final = CHANNELS.index("organic")
LIVE: Final = CHANNELS.index("live")
PICTURE: Final = 0
VIDEO: Final = 1
# How readily a note is opened, by channel.
PULL: Final = np.array([-0.7, 0.3, -1.2, 0.4, 0.3, 0.0, -0.2, 0.2, 0.2, 0.6])
LURE: Final = -3.1


@compiled
def reached_by(scene: Scene, campaign: int) -> bool:
    """Say whether a campaign is aimed at the user: the same answer on all of its days."""
    person, facts = scene.life.person, scene.world.campaigns[campaign]
    reach = facts[at.REACH] * (1.3 if person[at.AGE] == facts[at.TARGET_AGE] else 0.8)
    return share(scene.world.seed, int(person[at.INDEX]), 1_000_000 + campaign) < reach


@compiled
def channel_of(scene: Scene, brand: int) -> int:
    """Draw the channel of a note that no campaign pushes."""
    return picked(scene.life.rng, scene.world.channels[brand])


@compiled
def touch_of(scene: Scene, brand: int, channel: int, campaign: int) -> Touch:
    """Return where a note of the brand is met, its format drawn."""
    is_video = uniform(scene.life.rng) < scene.world.brands[brand, at.VIDEO]
    return Touch(channel, VIDEO if is_video else PICTURE, campaign)


@compiled
def _noted(scene: Scene, kind: int, brand: int, touch: Touch) -> bool:
    return written(scene, kind, brand, scene.world.brand_category[brand], touch, math.nan)


@compiled
def _craft(scene: Scene, brand: int, touch: Touch) -> float:
    """Return how well the note is made."""
    craft = scene.world.brands[brand, at.QUALITY]
    return craft + scene.world.campaigns[touch.campaign, at.CRAFT] if touch.campaign >= 0 else craft


@compiled
def _lure(scene: Scene, brand: int, touch: Touch) -> float:
    """Return the log-odds that the user opens the note."""
    tie, person = scene.life.ties[brand], scene.life.person
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    mind = 0.6 * math.log1p(3.0 * want) + 0.5 * min(tie[at.INTENT], 2.0) - 0.35 * tie[at.FATIGUE]
    place = PULL[touch.channel] + (0.15 if touch.note_format == VIDEO else 0.0)
    return (LURE + 0.5 * _craft(scene, brand, touch) + 0.5 * tie[at.LIKING] + mind + place
            + person[at.OPENNESS])


@compiled
def _absorb(scene: Scene, brand: int, touch: Touch) -> None:
    """Raise the intent, as a note that is read does: more where it meets a want."""
    tie, person = scene.life.ties[brand], scene.life.person
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    force = math.exp(0.5 * _craft(scene, brand, touch) + 0.3 * tie[at.LIKING])
    gain = 0.3 * person[at.SWAYED] * force * (0.3 + min(want, 2.0)) * log_normal(scene.life.rng, .7)
    tie[at.INTENT] += min(gain, 2.0) / (1.0 + tie[at.INTENT])
    tie[at.FAMILIAR] += 0.1


@compiled
def _perhaps(scene: Scene, kind: int, brand: int, touch: Touch, chance: float) -> bool:
    if uniform(scene.life.rng) >= chance:
        return False
    paused(scene, 8.0)
    return _noted(scene, kind, brand, touch)


@compiled
def _respond(scene: Scene, brand: int, touch: Touch) -> None:
    """Like, collect, comment, pass on, follow or join, each with its own readiness."""
    tie, person = scene.life.ties[brand], scene.life.person
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    warmth = person[at.EXPRESSIVE] * math.exp(
        0.4 * _craft(scene, brand, touch) + 0.3 * tie[at.LIKING])
    _perhaps(scene, LIKE, brand, touch, min(0.13 * warmth, 0.8))
    if _perhaps(scene, COLLECT, brand, touch, min((0.03 + 0.08 * want) * warmth, 0.7)):
        tie[at.INTENT] += 0.15
    _perhaps(scene, COMMENT, brand, touch, min(0.02 * warmth, 0.4))
    _perhaps(scene, SHARE_NOTE, brand, touch, min(0.013 * warmth, 0.3))
    if tie[at.FOLLOWS] == 0.0 and _perhaps(scene, FOLLOW, brand, touch, min(0.012 * warmth, 0.3)):
        tie[at.FOLLOWS] = 1.0
    joins = 0.12 if touch.channel == TOPIC else 0.003
    _perhaps(scene, TOPIC_JOIN, brand, touch, min(joins * warmth, 0.5))


@compiled
def _follow_up(scene: Scene, brand: int, touch: Touch) -> None:
    """Search the brand after reading of it, or go to the product that the note links to."""
    tie, person, rng = scene.life.ties[brand], scene.life.person, scene.life.rng
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    keen = 0.8 * math.log(tie[at.INTENT] + 0.05) + 0.4 * math.log(want + 0.05)
    if uniform(rng) < min(person[at.CURIOUS], 3.0) * sigmoid(-1.6 + keen):
        shop(scene, brand)
    elif uniform(rng) < (0.15 if touch.channel == LIVE else 0.03) * (0.5 + min(want, 2.0)):
        linked = Touch(touch.channel, -1, touch.campaign)
        if look_at_products(scene, brand, linked):
            decide(scene, brand, linked)
    elif person[at.CREATOR] > 0.0 and uniform(rng) < 0.004 * person[at.EXPRESSIVE]:
        # Creators also write about what they have only read of.
        paused(scene, 600.0)
        _noted(scene, PUBLISH_NOTE, brand, NOWHERE)


@compiled
def _open(scene: Scene, brand: int, touch: Touch) -> None:
    """Open a note: return at once, or read it and perhaps act."""
    tie = scene.life.ties[brand]
    want = scene.life.wants[scene.world.brand_category[brand], at.WANT]
    boredom = -0.7 - 0.7 * _craft(scene, brand, touch) - 0.5 * tie[at.LIKING] - 0.4 * min(want, 2.0)
    paused(scene, 2.0)
    if uniform(scene.life.rng) < sigmoid(boredom):
        _noted(scene, NOTE_BOUNCE, brand, touch)
        tie[at.FATIGUE] += 0.2
    elif _noted(scene, VIDEO_PLAY if touch.note_format == VIDEO else NOTE_READ, brand, touch):
        _absorb(scene, brand, touch)
        paused(scene, 25.0)
        _respond(scene, brand, touch)
        _follow_up(scene, brand, touch)


@compiled
def meet(scene: Scene, brand: int, touch: Touch, eagerness: float) -> bool:
    """Show a note to the user, who passes by, opens it, or sends it away."""
    tie, rng = scene.life.ties[brand], scene.life.rng
    if not _noted(scene, IMPRESSION, brand, touch):
        return False
    tie[at.FATIGUE] += 0.12
    tie[at.FAMILIAR] += 0.01
    if uniform(rng) < sigmoid(_lure(scene, brand, touch) + eagerness):
        _open(scene, brand, touch)
    elif uniform(rng) < 0.0012 * math.exp(0.4 * tie[at.FATIGUE] - 0.8 * tie[at.LIKING]):
        paused(scene, 3.0)
        _noted(scene, NOT_INTERESTED, brand, touch)
        tie[at.LIKING] -= 0.3
    return True
