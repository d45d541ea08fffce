"""Where touches come from: the log's ``campaign_id``, or a file; and the users of a holdout."""

from collections.abc import Collection
from pathlib import Path
from typing import Any, Final

import ibis
import pyarrow as pa

from features.brands import Brands
from features.dataset import OpenDataset
from features.engine import Engine
from features.errors import EventLogError
from features.instants import datetime_of
from features.sources import broken_source, id_text, instant_column, read_source
from features.vocabulary import KIND_CODE, MICROSECONDS_PER_DAY
from serving.crowd.campaign import Campaign, build_campaign

__all__ = [
    "campaign_names",
    "campaign_of_file",
    "campaign_of_log",
    "campaigns_of_log",
    "holdout_of",
]

_ANSWERS: Final = [
    KIND_CODE[kind] for kind in ("coupon_claim", "purchase", "refund", "publish_note")
]
"""What users do because of a campaign, maybe; anything else with its id touches them."""

_UNKNOWN_SHARE: Final = 0.5
_SHOWN: Final = 8


def campaign_names(data: OpenDataset, as_of: int) -> tuple[str, ...]:
    """Return the campaigns of a log that was opened with them, by their first touch."""
    return _names(_touches_of_log(data), as_of)


def _names(touches: Any, as_of: int) -> tuple[str, ...]:
    named = touches.filter(touches.touched_at < as_of).group_by("campaign_id")
    rows = named.aggregate(begun=lambda t: t.touched_at.min()).to_pyarrow().to_pylist()
    ordered = sorted(rows, key=lambda row: (row["begun"], row["campaign_id"]))
    return tuple(row["campaign_id"] for row in ordered)


def campaign_of_log(
    data: OpenDataset,
    name: str,
    as_of: int,
    opted_out: Collection[str] = (),
    total_cost: float | None = None,
) -> Campaign:
    """Return a campaign by its id in the log, which was opened with campaigns.

    Raises
    ------
    EventLogError
        Where the log has no campaign of this name, or it touched nobody before `as_of`.
    """
    touches = _touches_of_log(data)
    rows = touches.filter(touches.campaign_id == name).drop("campaign_id").to_pyarrow()
    if not rows.num_rows:
        raise EventLogError(
            f"--campaign: {name!r} touches nobody in the log; {_known(data, as_of)}."
        )
    where = "give --cost, or --touches with a column cost"
    said = _maybe_older(data, name, min(rows["touched_at"].to_pylist()))
    return build_campaign(name, rows, as_of, opted_out, total_cost, where, said)


def campaigns_of_log(
    data: OpenDataset, as_of: int, opted_out: Collection[str] = ()
) -> tuple[Campaign, ...]:
    """Return all campaigns of the log by their first touch, without costs.

    Those all of whose users have opted out are left out.
    """
    touches = data.engine.keep(_touches_of_log(data), "touches")
    found = []
    for name in _names(touches, as_of):
        rows = touches.filter(touches.campaign_id == name).drop("campaign_id").to_pyarrow()
        try:
            found.append(build_campaign(name, rows, as_of, opted_out, None, "none are asked for"))
        except EventLogError:
            continue
    data.engine.drop(touches)
    return tuple(found)


def _touches_of_log(data: OpenDataset) -> Any:
    table = data.log.table
    named = table.filter(
        table.campaign_id.notnull(), table.brand_id.notnull(), table.kind.notin(_ANSWERS)
    )
    return named.select("campaign_id", "user_id", "brand_id", "channel", touched_at="occurred_at")


def _maybe_older(data: OpenDataset, name: str, begun: int) -> tuple[str, ...]:
    first = int(data.log.table.occurred_at.min().to_pyarrow().as_py())
    early = begun < first + MICROSECONDS_PER_DAY
    return (
        f"{name} was there on the log's first day and may have begun before; what was touched and "
        "sold until then is not known",
    ) * early


def _known(data: OpenDataset, as_of: int) -> str:
    names = campaign_names(data, as_of)
    if not names:
        return (
            "it has no campaign_id before --as-of. Name the column in [events] "
            "columns.campaign_id, or give the touches with --touches"
        )
    more = f" and {len(names) - _SHOWN:,} more" if names[_SHOWN:] else ""
    return f"it has {', '.join(names[:_SHOWN])}{more}"


def campaign_of_file(
    data: OpenDataset,
    path: Path,
    name: str,
    brands: Brands,
    as_of: int,
    opted_out: Collection[str] = (),
    total_cost: float | None = None,
) -> Campaign:
    """Return a campaign from a file of touches, Parquet or CSV.

    Columns ``user_id, brand_id, touched_at`` and maybe ``cost, channel, campaign_id``; with the
    last one, only the rows of `name` count.

    Raises
    ------
    EventLogError
        A missing column, a row without what it needs, a brand that nobody knows, half of the
        users not in the log, a touch before the log begins.
    """
    touches = _read_touches(data.engine, path, name)
    begun = min(touches["touched_at"].to_pylist())
    _check_begin(data, path, begun)
    unknown = sorted(set(touches["brand_id"].to_pylist()) - set(brands.brand_ids))
    if unknown:
        raise EventLogError(
            f"--touches: {path}: brand {unknown[0]!r} is neither in the log before --as-of nor in "
            "the brands table; write ids as the log has them."
        )
    said = _strangers(data, touches["user_id"].to_pylist(), as_of, f"--touches: {path}")
    where = f"{path} has no column cost, and there is no --cost"
    return build_campaign(name, touches, as_of, opted_out, total_cost, where, said)


def _read_touches(engine: Engine, path: Path, name: str) -> pa.Table:
    what = "--touches"
    source = read_source(engine, path, what)
    for column in ("user_id", "brand_id", "touched_at"):
        if column not in source.columns:
            raise EventLogError(
                f"{what}: {path} has no column {column!r} (it has: {', '.join(source.columns)})."
            )
    if "campaign_id" in source.columns:
        ids = id_text(source.campaign_id, f"{what}: {path}")
        source = source.mutate(campaign_id=ids)
        source = source.filter(source.campaign_id == name)
    channel = source.channel if "channel" in source.columns else ibis.null("string")
    columns = {
        "user_id": id_text(source.user_id, f"{what}: {path}"),
        "brand_id": id_text(source.brand_id, f"{what}: {path}"),
        "touched_at": engine.reader.micros(instant_column(source.touched_at, f"{what}: {path}")),
        "channel": channel.cast("string").nullif(""),
    }
    if "cost" in source.columns:
        text = source.cost.cast("string").nullif("")
        columns |= {"cost": text.try_cast("float64"), "cost_found": text}
    try:
        rows = source.select(**columns).to_pyarrow()
    except engine.reader.errors as error:
        raise broken_source(error, path, what) from error
    _check_rows(rows, path, name)
    return rows.drop_columns(["cost_found"]) if "cost" in columns else rows


def _check_rows(rows: pa.Table, path: Path, name: str) -> None:
    if not rows.num_rows:
        raise EventLogError(
            f"--touches: {path} has no row of campaign {name!r}; look at its campaign_id."
        )
    needs = {"user_id": "a user", "brand_id": "a brand", "touched_at": "an instant"}
    for column, need in needs.items():
        empty = rows[column].null_count
        if empty:
            raise EventLogError(
                f"--touches: {path} has {empty:,} rows whose {column} is not {need}; mend them, or "
                "take them out."
            )
    if "cost" not in rows.column_names:
        return
    for found, cost in zip(rows["cost_found"].to_pylist(), rows["cost"].to_pylist(), strict=True):
        if found is not None and not (cost is not None and 0 <= cost < float("inf")):
            raise EventLogError(
                f"--touches: {path}: cost = {found}; write an amount from 0 on, or leave it empty."
            )


def _check_begin(data: OpenDataset, path: Path, begun: int) -> None:
    first = data.log.table.occurred_at.min().to_pyarrow().as_py()
    if first is None or begun < first:
        since = "never" if first is None else datetime_of(first).isoformat(timespec="minutes")
        raise EventLogError(
            f"--touches: {path}: the first touch is of "
            f"{datetime_of(begun).isoformat(timespec='minutes')}, and the log begins {since}; what "
            "was sold in between is not known. Leave out such campaigns, or give a longer log."
        )


def _strangers(data: OpenDataset, users: list[str], as_of: int, where: str) -> tuple[str, ...]:
    """Say how many users the log does not know; refuse where they are half or more."""
    table = data.log.before(as_of).table
    asked = data.engine.load(pa.table({"user_id": pa.array(sorted(set(users)), pa.string())}))
    known = asked.semi_join(table, "user_id").count().to_pyarrow().as_py()
    data.engine.drop(asked)
    total, unknown = len(set(users)), len(set(users)) - int(known)
    if unknown >= _UNKNOWN_SHARE * total:
        raise EventLogError(
            f"{where}: {unknown:,} of {total:,} users have no event in the log before --as-of; are "
            "these ids written as the log's are?"
        )
    return (f"{unknown:,} of {total:,} users in {where} have no event in the log",) * bool(unknown)


def holdout_of(
    data: OpenDataset, path: Path, campaign: Campaign, as_of: int, opted_out: Collection[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the users of a holdout's file, sorted, and what was handled.

    Raises
    ------
    EventLogError
        Where one of them was touched, half of them are not in the log, or fewer than two remain.
    """
    source = read_source(data.engine, path, "--holdout")
    if "user_id" not in source.columns:
        raise EventLogError(
            f"--holdout: {path} has no column 'user_id' (it has: {', '.join(source.columns)})."
        )
    ids = source.select(user_id=id_text(source.user_id, f"--holdout: {path}")).distinct()
    users = {user for user in ids.to_pyarrow()["user_id"].to_pylist() if user is not None}
    touched = sorted(users & set(campaign.users.tolist()))
    if touched:
        raise EventLogError(
            f"--holdout: {len(touched):,} of the users in {path} were touched by "
            f"{campaign.name!r}, such as {touched[0]!r}; a holdout is touched by nobody."
        )
    said = _strangers(data, sorted(users), as_of, f"--holdout: {path}") if users else ()
    left = tuple(sorted(users - set(opted_out)))
    if len(left) < 2:
        raise EventLogError(f"--holdout: {path} has fewer than two users; nothing to compare with.")
    out = len(users) - len(left)
    return left, (*said, *(f"{out:,} users of the holdout opted out",) * bool(out))
