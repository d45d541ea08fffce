"""Groups of reasons in words, and the moments that reasons are asked of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from features.dataset import OpenDataset
from models.batch import batches_of_moments
from models.forecast import Moments
from models.reason_words import English
from models.reasons import GROUPS
from models.release import Release

__all__ = ["GroupReason", "group_reasons", "moments_at", "words_of"]


@dataclass(frozen=True)
class GroupReason:
    """What a group of reasons does.

    Attributes
    ----------
    log_odds : what it adds; of an audience, how much more than to the crowd, on average.
    sentence : in words.
    """

    group: str
    log_odds: float
    sentence: str


def group_reasons(sums: Mapping[str, float], words: English) -> tuple[GroupReason, ...]:
    """Return the groups from the strongest on; those that say nothing are left out."""
    order = sorted(GROUPS, key=lambda name: -abs(sums[name]))
    return tuple(
        GroupReason(name, sums[name], f"{words.group(name)}: {words.effect(sums[name])}")
        for name in order
        if sums[name]
    )


def words_of(release: Release) -> English:
    """Return the words for a release's reasons."""
    return English(release.context.attributes)


def moments_at(
    data: OpenDataset, release: Release, users: Sequence[str], brand: str, as_of: int
) -> Moments:
    """Return the moments of users and one brand, sorted by user."""
    pairs = data.engine.load(pa.table({"user_id": users, "brand_id": [brand] * len(users)}))
    parts = [moments for _, moments in batches_of_moments(data, release, pairs.mutate(as_of=as_of))]
    return parts[0] if len(parts) == 1 else _joined(parts)


def _joined(parts: Sequence[Moments]) -> Moments:
    return Moments(
        np.concatenate([part.X for part in parts]),
        np.concatenate([part.stage for part in parts]),
        [brand for part in parts for brand in part.brands],
        [category for part in parts for category in part.categories],
        np.concatenate([part.known for part in parts]),
        np.concatenate([part.met for part in parts]),
    )
