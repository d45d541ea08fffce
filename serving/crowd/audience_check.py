"""Audiences held against what came: buyers expected and realised, once the horizon is over."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import duckdb
import pyarrow as pa

from features.aggregates import LOOKBACK_DAYS
from features.dataset import Dataset, OpenDataset
from features.errors import ConfigError
from features.events import log_end
from features.instants import datetime_of
from features.spans import Span
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY
from serving.crowd.audience_crowd import TIERS
from serving.crowd.audience_hashes import Salt
from serving.crowd.audience_numbers import SUMS_SQL, Sums, buyers_interval
from serving.crowd.audience_saved import SavedAudience

__all__ = ["NotOver", "Realised", "RealisedAudience", "realised_audience"]

_USERS: Final = pa.schema([("user", pa.string())])


@dataclass(frozen=True)
class NotOver:
    """The horizon is not over in the log, and *not yet* is not *no*.

    Attributes
    ----------
    known_at : microseconds: when the log must be complete, late orders and all.
    log_until : microseconds: up to when it is, or was asked to be looked at.
    """

    known_at: int
    log_until: int


@dataclass(frozen=True)
class Realised:
    """What was expected of some users, and how many of them bought."""

    sums: Sums
    bought: int

    def as_data(self, crowd_rate: float | None) -> dict[str, Any]:
        """Return plain data."""
        low, high = buyers_interval(self.sums)
        rate = self.bought / self.sums.users if self.sums.users else None
        return {
            "users": self.sums.users,
            "expected_buyers": self.sums.buyers,
            "interval_80": [low, high],
            "buyers": self.bought,
            "within_interval": low <= self.bought <= high,
            "predicted_over_observed": self.sums.buyers / self.bought if self.bought else None,
            "lift": None if rate is None or not crowd_rate else rate / crowd_rate,
        }


@dataclass(frozen=True)
class RealisedAudience:
    """An audience whose horizon is over.

    Attributes
    ----------
    crowd, crowd_buyers : users who had met the brand in the 365 days before, and those of them who
        bought within the horizon.
    newcomers : buyers who had not met it, whom no list could hold.
    opted_out : users of the list who opted out since; they are in no count.
    """

    saved: SavedAudience
    tiers: Mapping[str, Realised]
    crowd: int
    crowd_buyers: int
    newcomers: int
    opted_out: int
    said: tuple[str, ...] = ()

    @property
    def all(self) -> Realised:
        """The whole audience."""
        return Realised(
            sum((tier.sums for tier in self.tiers.values()), Sums()),
            sum(tier.bought for tier in self.tiers.values()),
        )

    @property
    def share_of_buyers(self) -> float | None:
        """The share of all buyers of the brand within the horizon who were in the audience."""
        buyers = self.crowd_buyers + self.newcomers
        return self.all.bought / buyers if buyers else None

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        rate = self.crowd_buyers / self.crowd if self.crowd else None
        expected = self.saved.manifest.get("audience", {})
        return {
            "brand": self.saved.brand,
            "release": self.saved.release,
            "as_of": datetime_of(self.saved.as_of).isoformat(),
            "horizon_days": self.saved.horizon,
            "over": True,
            "audience": self.all.as_data(rate),
            "tiers": {name: tier.as_data(rate) for name, tier in self.tiers.items()},
            "share_of_buyers": self.share_of_buyers,
            "expected_share_of_buyers": expected.get("share_of_buyers"),
            "expected_lift": expected.get("lift"),
            "crowd": self.crowd,
            "crowd_buyers": self.crowd_buyers,
            "newcomers": self.newcomers,
            "opted_out": self.opted_out,
        }


def realised_audience(
    saved: SavedAudience,
    dataset: Dataset,
    as_of: int | None,
    opted_out: frozenset[str],
    salt: Salt | None,
) -> RealisedAudience | NotOver:
    """Return what came of an audience.

    Parameters
    ----------
    as_of : microseconds: the log counts as complete up to then, less `settle_days`; its end where
        left out.
    salt : that of a hashed audience.

    Raises
    ------
    ConfigError
        Where the salt is missing, or another one.
    """
    _check_salt(saved, salt)
    day = MICROSECONDS_PER_DAY
    since, settle = saved.as_of - LOOKBACK_DAYS * day, dataset.events.settle_days * day
    with dataset.open(Span(since, as_of)) as data:
        end = log_end(data.engine, data.log.table)
        until = end if as_of is None else min(as_of, end)
        if until < saved.over_at + settle:
            return NotOver(saved.over_at + settle, until)
        buyers, met, crowd = _buyers(data, saved, opted_out)
        said = data.said
    named = (buyers, sorted(opted_out)) if salt is None else _hashed(salt, buyers, opted_out)
    tiers, left_out = _by_tier(saved, *named)
    return RealisedAudience(saved, tiers, crowd, len(met), len(buyers) - len(met), left_out, said)


def _check_salt(saved: SavedAudience, salt: Salt | None) -> None:
    if not saved.hashed:
        return
    if salt is None or salt.mark != saved.manifest["hashing"]["salt_mark"]:
        raise ConfigError(
            f"--salt-file: {saved.path} was hashed with another salt; name the file that holds it."
        )


def _buyers(
    data: OpenDataset, saved: SavedAudience, opted_out: frozenset[str]
) -> tuple[list[str], list[str], int]:
    """Return who bought within the horizon, which of them had met the brand, and how many had."""
    table = data.log.table
    out = data.engine.load(pa.table({"user_id": sorted(opted_out)}, _IDS), "opted_out")
    mine = table.filter(table.brand_id == saved.brand).anti_join(out, "user_id")
    after = mine.filter(mine.occurred_at >= saved.as_of, mine.occurred_at < saved.over_at)
    bought = after.filter(after.kind == KIND_CODE["purchase"]).select("user_id").distinct()
    met = mine.filter(mine.occurred_at < saved.as_of).select("user_id").distinct()
    buyers, known = (
        rows.to_pyarrow()["user_id"].to_pylist()
        for rows in (bought, bought.semi_join(met, "user_id"))
    )
    return buyers, known, int(met.count().to_pyarrow().as_py())


_IDS: Final = pa.schema([("user_id", pa.string())])


def _hashed(
    salt: Salt, buyers: list[str], opted_out: frozenset[str]
) -> tuple[list[str], list[str]]:
    return [salt.hash(user) for user in buyers], [salt.hash(user) for user in opted_out]


def _by_tier(
    saved: SavedAudience, buyers: list[str], opted_out: list[str]
) -> tuple[dict[str, Realised], int]:
    """Return what was expected and what came by tier, and how many opted out since."""
    with duckdb.connect() as con:
        for name, users in {"bought": buyers, "opted_out": opted_out}.items():
            con.register(name, pa.table({"user": users}, _USERS))
        rows = con.execute(
            f"""SELECT tier, count(*) FILTER (user IN (FROM bought)), {SUMS_SQL}
            FROM ({saved.sql}) WHERE user NOT IN (FROM opted_out) GROUP BY tier"""
        ).fetchall()
        left_out = con.execute(
            f"SELECT count(*) FROM ({saved.sql}) WHERE user IN (FROM opted_out)"
        ).fetchall()[0][0]
    found = {tier: Realised(Sums.of(row), bought) for tier, bought, *row in rows}
    return {name: found.get(name, Realised(Sums(), 0)) for name in TIERS}, left_out
