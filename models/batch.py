"""Moments in bulk: what a release needs to know of pairs at one instant, from the event log."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.aggregates import LOOKBACK_DAYS
from features.dataset import OpenDataset
from features.errors import EventLogError
from features.feature import Feature
from features.offline import MomentValues, moment_values
from features.sources import id_text, read_source
from features.spans import Span
from features.view import View
from features.vocabulary import MICROSECONDS_PER_DAY
from models.forecast import Moments
from models.release import Release

__all__ = [
    "batches_of_moments",
    "known_rows",
    "looked_at",
    "met_rows",
    "moments_of",
    "pairs_before",
    "read_pairs",
    "said_of",
    "seen_columns",
]

_KNOWN_USER: Final = "days_since_first_contact_user"
_MET: Final = "days_since_last_contact"


def seen_columns(features: Sequence[Feature]) -> tuple[int, int]:
    """Return the columns that are unknown where the user, or the pair, has no event to be seen."""
    names = [feature.name for feature in features]
    return names.index(_KNOWN_USER), names.index(_MET)


def known_rows(
    X: npt.NDArray[Any], features: tuple[Feature, ...], known_brand: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return where both the user (some event in the look-back) and the brand are known."""
    return np.asarray(_has(X, features, _KNOWN_USER) & known_brand)


def met_rows(X: npt.NDArray[Any], features: tuple[Feature, ...]) -> npt.NDArray[np.bool_]:
    """Return where the pair had any event in the look-back."""
    return _has(X, features, _MET)


def _has(X: npt.NDArray[Any], features: tuple[Feature, ...], name: str) -> npt.NDArray[np.bool_]:
    column = next(i for i, feature in enumerate(features) if feature.name == name)
    return np.asarray(~np.isnan(X[:, column]))


def moments_of(values: MomentValues, view: View) -> Moments:
    """Return the moments as the models take them."""
    brands = values.rows["brand_id"].to_pylist()
    category = view.brands.category()
    known = known_rows(
        values.X, view.features, np.array([brand in category for brand in brands], dtype=bool)
    )
    categories = [category.get(brand) for brand in brands]
    return Moments(
        values.X,
        values.stage.astype(np.int64),
        brands,
        categories,
        known,
        met_rows(values.X, view.features),
    )


def looked_at(as_of: int, days_after: int = 0) -> Span:
    """Return the part of a log that forecasts at `as_of` look at, and some days after it."""
    day = MICROSECONDS_PER_DAY
    return Span(as_of - LOOKBACK_DAYS * day, as_of + days_after * day)


def said_of(data: OpenDataset, release: Release) -> tuple[str, ...]:
    """Say what was handled when the data was read, and what the release misses in it."""
    kinds = data.users.kinds if data.users else {}
    return data.said + release.context.attributes.missing_from(kinds)


def pairs_before(data: OpenDataset, as_of: int) -> Any:
    """Return the pairs with an event in the 365 days before `as_of`."""
    table = data.log.table
    seen = table.filter(
        table.brand_id.notnull(),
        table.occurred_at < as_of,
        table.occurred_at >= as_of - LOOKBACK_DAYS * MICROSECONDS_PER_DAY,
    )
    return seen.select("user_id", "brand_id").distinct()


def read_pairs(data: OpenDataset, path: Any) -> Any:
    """Return the pairs of a file, each once."""
    source = read_source(data.engine, path, "--pairs")
    for column in ("user_id", "brand_id"):
        if column not in source.columns:
            raise EventLogError(
                f"--pairs: {path} has no column {column!r} (it has: {', '.join(source.columns)})."
            )
    pairs = source.select(
        user_id=id_text(source.user_id, "--pairs"), brand_id=id_text(source.brand_id, "--pairs")
    )
    empty = pairs.filter(pairs.user_id.isnull() | pairs.brand_id.isnull()).count()
    if empty.to_pyarrow().as_py():
        raise EventLogError(f"--pairs: {path} has rows without a user or a brand; take them out.")
    return data.engine.adopt(pairs.distinct())


def batches_of_moments(
    data: OpenDataset, release: Release, asked: Any
) -> Iterator[tuple[pa.Table, Moments]]:
    """Yield moments (``user_id, brand_id, as_of``) sorted so, with what the release looks at."""
    view = release.view
    for values in moment_values(data.engine, data.log.table, asked, view, data.users):
        yield values.rows, moments_of(values, view)
