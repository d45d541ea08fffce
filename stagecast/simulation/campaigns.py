"""The brands' campaigns: some days of pushed notes, on one channel, to one part of the users."""

from typing import Final

import numpy as np

from stagecast.simulation import places as at
from stagecast.simulation.compilation import Floats, Integers

__all__ = ["campaign_ids", "campaign_schedule"]

GAP_DAYS: Final = 26.0
# How often a campaign runs on each channel, in the order of ``world.CHANNELS``.
CAMPAIGN_CHANNELS: Final = (0.30, 0.06, 0.08, 0.20, 0.12, 0.08, 0.04, 0.0, 0.05, 0.07)


def campaign_ids(count: int) -> tuple[str, ...]:
    """Return the campaigns' names, in the order of their places."""
    return tuple(f"c{number + 1:04d}" for number in range(count))


def _drawn_campaign(rng: np.random.Generator) -> list[float]:
    return [
        float(np.exp(rng.normal(0.7, 0.6))),
        float(rng.choice(len(CAMPAIGN_CHANNELS), p=CAMPAIGN_CHANNELS)),
        float(rng.normal(0.0, 0.5)),
        float(rng.beta(2.0, 2.5)),
        float(rng.integers(0, 6)),
    ]


def _starts_and_ends(rng: np.random.Generator, days: int, launch: float) -> list[tuple[int, int]]:
    # A brand is launched with a campaign.
    day = launch if launch >= 0 else rng.exponential(GAP_DAYS) * 0.7
    spans = []
    while day < days:
        end = day + 2 + rng.gamma(2.0, 3.0)
        spans.append((int(day), min(int(end), days)))
        day = end + 4 + rng.exponential(GAP_DAYS)
    return spans


def campaign_schedule(
    rng: np.random.Generator, days: int, launches: Floats
) -> tuple[Integers, Floats]:
    """Return which campaign runs, ``(days, brands)`` with -1 for none, and their table."""
    running = np.full((days, len(launches)), -1, np.int64)
    campaigns: list[list[float]] = []
    for brand, launch in enumerate(launches):
        for start, end in _starts_and_ends(rng, days, float(launch)):
            running[start:end, brand] = len(campaigns)
            campaigns.append(_drawn_campaign(rng))
    return running, np.array(campaigns).reshape(-1, at.CAMPAIGN_SIZE)
