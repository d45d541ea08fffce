"""Moments in bulk: what a release needs to know of pairs at one instant, from the event log."""

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalogue import Feature
from features.dataset import OpenDataset
from features.errors import EventLogError
from features.offline import moment_values, resolve_moments, with_categories
from features.sources import id_text, read_source
from features.vocabulary import MICROSECONDS_PER_DAY
from models.forecast import Moments
from models.release import Release

__all__ = ["batches_of_moments", "known_rows", "moments_of", "pairs_before", "read_pairs"]

_KNOWN_USER: Final = "days_since_first_contact_user"
_BATCH: Final = 100_000


def known_rows(
    X: npt.NDArray[Any], features: tuple[Feature, ...], known_brand: npt.NDArray[np.bool_]
) -> npt.NDArray[np.bool_]:
    """Return where both the user (some event in the look-back) and the brand are known."""
    column = next(i for i, feature in enumerate(features) if feature.name == _KNOWN_USER)
    return np.asarray(~np.isnan(X[:, column]) & known_brand)


def moments_of(
    rows: pd.DataFrame, features: tuple[Feature, ...], known_brands: set[str]
) -> Moments:
    """Return the moments of rows that `moment_values` gave."""
    X = rows[[feature.name for feature in features]].to_numpy(dtype=np.float64)
    brands = rows["brand_id"].tolist()
    categories = rows["category_id"].astype(object).where(rows["category_id"].notna(), None)
    known = known_rows(X, features, np.array([brand in known_brands for brand in brands], bool))
    return Moments(X, rows["stage"].to_numpy().astype(np.int64), brands, categories.tolist(), known)


def pairs_before(data: OpenDataset, as_of: int) -> Any:
    """Return the pairs with an event in the 365 days before `as_of`."""
    table = data.log.table
    seen = table.filter(
        table.brand_id.notnull(),
        table.occurred_at < as_of,
        table.occurred_at >= as_of - 365 * MICROSECONDS_PER_DAY,
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
    return pairs.distinct()


def batches_of_moments(
    data: OpenDataset, release: Release, asked: Any
) -> Iterator[tuple[pd.DataFrame, Moments]]:
    """Yield moments (``user_id, brand_id, as_of``) sorted so, with what the release looks at."""
    engine = data.engine
    last = int(asked.as_of.max().to_pyarrow().as_py() or 0)
    events = with_categories(engine, data.log.before(last).table, release.brands)
    moments = resolve_moments(engine, asked, release.brands)
    values = moment_values(engine, events, moments, release.features, release.stages)
    known = set(release.brands.brand_ids)
    ids = ["user_id", "brand_id", "as_of"]
    for batch in engine.batches(values.order_by(*ids), _BATCH):
        frame = batch.to_pandas()
        yield frame[ids], moments_of(frame, release.features, known)
