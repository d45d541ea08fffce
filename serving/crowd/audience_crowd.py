"""The crowd of a brand: all its scored users, how many will buy, and where the tiers lie."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from features.stage_rules import StageModel
from serving.crowd.audience_numbers import SUMS_SQL, UNIT, Sums
from serving.crowd.scored_pairs import ScoredPairs

__all__ = ["TIERS", "TIER_RULE", "Crowd", "crowd_of", "rows_sql", "stage_before_purchase"]

TIERS: Final = ("core", "likely", "general")
"""The reverse funnel: advertise to the core first, then to the likely, then to the general."""

_CORE: Final = 5
_LIKELY: Final = 8
"""Up to how many tenths of the expected buyers the tiers reach."""

_BUCKETS: Final = 2**16

TIER_RULE: Final = (
    "core: the likeliest users of the brand's crowd who together hold half of its expected buyers; "
    "likely: those after them, up to 80 %; general: everyone else"
)


@dataclass(frozen=True)
class Crowd:
    """All scored users of a brand at a horizon, less those who opted out.

    Attributes
    ----------
    stages : sums by the name of the stage, `none` first.
    core_from, likely_from : the probabilities from which on a user is core, or likely; None where
        nobody is expected to buy.
    opted_out : how many scored users of the brand are left out for it.
    aimed : the stage just below purchase; None where the stage model has none.
    """

    brand: str
    horizon: int
    category: str | None
    cycle_days: int
    stages: Mapping[str, Sums]
    core_from: float | None
    likely_from: float | None
    opted_out: int
    aimed: str | None

    @property
    def sums(self) -> Sums:
        """Of all of them."""
        return sum(self.stages.values(), Sums())


def stage_before_purchase(model: StageModel) -> str | None:
    """Return the stage just below the first one that a purchase leads to; None: there is none.

    Examples
    --------
    >>> from features.stages import load_stage_model
    >>> from pathlib import Path
    >>> [stage_before_purchase(load_stage_model(m, Path())[0]) for m in ("aips", "o5a")]
    ['true_interest', 'a3']
    """
    for below, stage in zip(model.stages[:-1], model.stages[1:], strict=True):
        if any("purchase" in aggregate.kinds for aggregate in stage.aggregates):
            return below.name
    return None


def rows_sql(horizon: int) -> str:
    """Return the rows of the crowd of ``$brand``: ``user_id, user, stage, p, value``."""
    return (
        f"SELECT user_id, user, stage, p_purchase_{horizon}d AS p, "
        f"expected_value_{horizon}d AS value FROM scored WHERE brand = $brand"
    )


def crowd_of(pairs: ScoredPairs, brand: str, horizon: int, model: StageModel | None) -> Crowd:
    """Return the crowd of a brand.

    Parameters
    ----------
    model : the stage model that the file was scored with, where it is known.

    Raises
    ------
    ConfigError
        Where the file lacks the brand or the horizon.
    """
    pairs.file.check_horizon(horizon)
    pairs.check_brand(brand)
    rows = rows_sql(horizon)
    found = pairs.ask(
        f"SELECT stage, {SUMS_SQL} FROM ({rows}) GROUP BY stage", brand=brand
    ).fetchall()
    by_stage = {stage: Sums.of(row) for stage, *row in found}
    core, likely = _edges(pairs, rows, brand)
    everybody = pairs.ask(
        "SELECT count(*) FROM everybody WHERE brand = $brand", brand=brand
    ).fetchall()[0][0]
    users = sum(sums.users for sums in by_stage.values())
    return Crowd(
        brand,
        horizon,
        pairs.brands.category().get(brand),
        pairs.brands.cycle().get(brand, pairs.brands.default_cycle),
        {stage: by_stage.get(stage, Sums()) for stage in pairs.file.stages},
        core,
        likely,
        everybody - users,
        stage_before_purchase(model) if model else None,
    )


def _edges(pairs: ScoredPairs, rows: str, brand: str) -> tuple[float | None, float | None]:
    """Return the probability of the last user of the core, and of the last likely one.

    The user on whom the half falls is of the core, and so is whoever is as likely.
    """
    # Only the users of two of many buckets are put in order: that is most of the time saved.
    binned = f"SELECT p, (p * {UNIT})::HUGEINT AS w, floor(p * {_BUCKETS})::INT AS bucket "
    binned += f"FROM ({rows})"
    masses = pairs.ask(
        f"SELECT bucket, sum(w)::HUGEINT FROM ({binned}) GROUP BY bucket ORDER BY bucket DESC",
        brand=brand,
    ).fetchall()
    core, likely = (_edge(pairs, binned, brand, masses, tenths) for tenths in (_CORE, _LIKELY))
    return core, likely


def _edge(
    pairs: ScoredPairs, binned: str, brand: str, masses: Sequence[tuple[int, int]], tenths: int
) -> float | None:
    """Return the smallest probability before whose users less than some tenths of all lie."""
    whole, before = sum(mass for _, mass in masses), 0
    for bucket, mass in masses:
        if whole and 10 * (before + mass) >= tenths * whole:
            found: float = pairs.ask(
                f"""SELECT min(p) FILTER (WHERE 10 * ({before}::HUGEINT + ahead) < {tenths * whole})
                FROM (SELECT p, sum(w) OVER (ORDER BY p DESC ROWS UNBOUNDED PRECEDING) - w AS ahead
                    FROM ({binned}) WHERE bucket = {bucket})""",
                brand=brand,
            ).fetchall()[0][0]
            return found
        before += mass
    return None
