"""Why an audience: what speaks for it, against its brand's crowd, on average."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from features.aggregates import LOOKBACK_DAYS, Aggregate
from features.dataset import OpenDataset
from features.errors import ConfigError
from features.feature import Feature
from features.vocabulary import MICROSECONDS_PER_DAY
from models.reason_words import English
from models.reasons import Explainer, Reasons
from models.release import Release
from serving.crowd.why_words import GroupReason, group_reasons, moments_at, words_of

__all__ = ["SAMPLE", "AudienceWhy", "FeatureReason", "audience_why"]

Floats = npt.NDArray[np.float64]

SAMPLE: Final = 500
"""So many users of an audience, and of its crowd, are asked at most."""

_TOLD: Final = 5


@dataclass(frozen=True)
class FeatureReason:
    """What a feature does for an audience, more than for the crowd.

    Attributes
    ----------
    mean, crowd_mean : of its known values; None where a mean says nothing.
    """

    name: str
    log_odds: float
    sentence: str
    mean: float | None
    crowd_mean: float | None


@dataclass(frozen=True)
class AudienceWhy:
    """Why an audience is likelier to buy than its brand's crowd, on average over samples of both.

    Attributes
    ----------
    users, crowd : how many of each were asked.
    log_odds, crowd_log_odds : means of their forecasts' log-odds.
    groups : the strongest first; they add up to the difference of these means.
    features : the strongest single ones.
    """

    horizon: int
    users: int
    crowd: int
    log_odds: float
    crowd_log_odds: float
    groups: tuple[GroupReason, ...]
    features: tuple[FeatureReason, ...]

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return vars(self) | {
            "groups": [vars(one) for one in self.groups],
            "features": [vars(one) for one in self.features],
        }


def audience_why(
    data: OpenDataset,
    release: Release,
    users: Sequence[str],
    brand: str,
    as_of: int,
    horizon: int,
    opted_out: frozenset[str] = frozenset(),
) -> AudienceWhy:
    """Return what speaks for an audience, against all users who met the brand in 365 days before.

    Parameters
    ----------
    users : of the audience; a sample of them is asked, and one of the crowd. Both are drawn by a
        hash of the id, so that the same are drawn again.

    Raises
    ------
    ConfigError
        Where nobody is left to be asked.
    """
    mine = _drawn([user for user in users if user not in opted_out])
    crowd = _drawn([user for user in _met(data, brand, as_of) if user not in opted_out])
    if not mine or not crowd:
        raise ConfigError(f"--audience: no user of brand {brand!r} is left to give reasons for.")
    asked = sorted({*mine, *crowd})
    found = Explainer(release.model, horizon, release.features).of(
        moments_at(data, release, asked, brand, as_of)
    )
    place = {user: row for row, user in enumerate(asked)}
    rows, others = ([place[user] for user in some] for some in (mine, crowd))
    sums = {name: _more(odds, rows, others) for name, odds in found.by_group().items()}
    return AudienceWhy(
        horizon,
        len(mine),
        len(crowd),
        float(found.log_odds[rows].mean()),
        float(found.log_odds[others].mean()),
        group_reasons(sums, words_of(release)),
        _features(found, release.features, rows, others, words_of(release)),
    )


def _met(data: OpenDataset, brand: str, as_of: int) -> list[str]:
    table = data.log.table
    since = as_of - LOOKBACK_DAYS * MICROSECONDS_PER_DAY
    seen = table.filter(
        table.brand_id == brand, table.occurred_at < as_of, table.occurred_at >= since
    )
    return [
        str(user) for user in seen.select("user_id").distinct().to_pyarrow()["user_id"].to_pylist()
    ]


def _drawn(users: Sequence[str]) -> list[str]:
    if len(users) <= SAMPLE:
        return sorted(users)
    return sorted(sorted(users, key=_digest)[:SAMPLE])


def _digest(user: str) -> bytes:
    return hashlib.blake2b(user.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _more(values: Floats, rows: Sequence[int], others: Sequence[int]) -> float:
    return float(values[rows].mean() - values[others].mean())


def _features(
    found: Reasons,
    features: Sequence[Feature],
    rows: Sequence[int],
    others: Sequence[int],
    words: English,
) -> tuple[FeatureReason, ...]:
    more = found.contributions[rows].mean(axis=0) - found.contributions[others].mean(axis=0)
    strongest = np.argsort(-np.abs(more[: len(features)]), kind="stable")[:_TOLD].tolist()
    told = []
    for part in strongest:
        feature, added = features[part], float(more[part])
        means: list[float | None] = [None, None]
        if isinstance(feature.source, Aggregate):
            means = [_mean(found.values[some, part]) for some in (rows, others)]
        sentence = f"{feature.sentence}: {words.effect(added)}"
        told.append(FeatureReason(feature.name, added, sentence, *means))
    return tuple(told)


def _mean(values: Floats) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None
