"""The same windows by featuretools with cutoff times, in an environment of its own.

Run by `benchmarks.feature_build` as a script, with the Python of that environment: it imports
nothing of this project. ``python _featuretools.py FOLDER MOMENTS OUT WANTED`` where WANTED is a
JSON list of ``{"name", "how", "kinds", "scope", "days", "unbranded"}``.

One call of `calculate_feature_matrix` for each scope and length of window, since a call has one
``training_window``. What a feature counts is a column of the events (1 where the event counts), so
that sums, maxima and numbers of distinct days are all of pandas' own.
"""

import json
import sys
import warnings
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

warnings.simplefilter("ignore")

import featuretools as ft  # type: ignore[import-not-found]  # noqa: E402
import pandas as pd  # noqa: E402
from featuretools.primitives import (  # type: ignore[import-not-found]  # noqa: E402
    Max,
    Min,
    NumUnique,
    Sum,
)

PRIMITIVES = {"count": Sum, "sum": Sum, "days": NumUnique, "last": Max, "first": Min}
KEYS = {
    "pair": ["user_id", "brand_id"],
    "category": ["user_id", "category_id"],
    "user": ["user_id"],
}
DAY = 86_400_000_000

Wanted = Mapping[str, Any]


def column_name(wanted: Wanted) -> str:
    """Return the events' column that a feature is made of."""
    how = "n" if wanted["how"] == "count" else wanted["how"].replace("first", "last")
    return f"{how}_{'_'.join(wanted['kinds'])}{'_unbranded' * wanted['unbranded']}"


def column(events: Any, wanted: Wanted) -> Any:
    """Return what a feature counts, one number an event."""
    counts = events["kind"].isin(wanted["kinds"])
    if wanted["unbranded"]:
        counts &= events["brand_id"].isna()
    how = wanted["how"]
    if how == "count":
        return counts.astype("float64")
    if how == "sum":
        return events["value"].where(counts, 0.0)
    micros = events["occurred_at"].astype("int64")
    return (micros // DAY if how == "days" else micros).where(counts).astype("float64")


def entity_set(events: Any, codes: Mapping[str, Any], wanted: Sequence[Wanted]) -> Any:
    """Return the events and what they belong to: pairs, users in a category, users."""
    columns = {column_name(w): column(events, w) for w in wanted}
    frame = pd.DataFrame({"event": range(len(events)), "at": events["occurred_at"], **columns})
    frame = frame.assign(**codes)
    types = {
        name: "Categorical" if name.startswith("days_") else "Double" for name in columns
    } | dict.fromkeys(codes, "Integer")
    entities = ft.EntitySet("log")
    entities.add_dataframe(
        dataframe_name="events",
        dataframe=frame.sort_values("at"),
        index="event",
        time_index="at",
        logical_types={"event": "Integer", "at": "Datetime", **types},
        already_sorted=True,
    )
    for scope in codes:
        entities.normalize_dataframe(
            base_dataframe_name="events",
            new_dataframe_name=f"{scope}s",
            index=scope,
            make_time_index=False,
        )
    return entities


def window_values(entities: Any, scope: str, days: int, wanted: Sequence[Wanted], at: Any) -> Any:
    """Return the features of one scope and window, one row a distinct (entity, instant)."""
    primitives = [
        ft.Feature(
            entities["events"].ww[column_name(w)],
            parent_dataframe_name=f"{scope}s",
            primitive=PRIMITIVES[w["how"]],
        ).rename(w["name"])
        for w in wanted
    ]
    return ft.calculate_feature_matrix(
        primitives,
        entities,
        cutoff_time=at,
        training_window=f"{days} days",
        include_cutoff_time=False,
        cutoff_time_in_index=True,
        n_jobs=1,
    )


def main() -> None:
    """Build the features."""
    folder, moments_path, out, wanted_path = sys.argv[1:]
    with open(wanted_path, encoding="utf-8") as file:
        wanted: list[Wanted] = json.load(file)
    events = pd.read_parquet(f"{folder}/events.parquet")
    # In UTC, and without its name, which featuretools does not compare.
    events["occurred_at"] = events["occurred_at"].dt.tz_localize(None).astype("datetime64[us]")
    for name in ("user_id", "brand_id", "category_id", "kind"):
        events[name] = events[name].astype(object)
    brands = pd.read_parquet(f"{folder}/brands.parquet").set_index("brand_id")
    own = brands["category_id"]
    events["category_id"] = events["category_id"].fillna(events["brand_id"].map(own))
    moments = pd.read_parquet(moments_path)
    moments["category_id"] = moments["brand_id"].map(own)
    moments["time"] = moments["as_of"].astype("datetime64[us]")
    scopes = [scope for scope in KEYS if any(w["scope"] == scope for w in wanted)]
    codes = {}
    for scope in scopes:
        keys = KEYS[scope]
        both = pd.concat([events[keys], moments[keys]], ignore_index=True)
        code = both.groupby(keys, sort=False, dropna=False).ngroup().to_numpy()
        codes[scope] = code[: len(events)]
        moments[scope] = code[len(events) :]
    entities = entity_set(events, codes, wanted)
    del events
    result = moments

    def call(w: Wanted) -> tuple[str, int]:
        return str(w["scope"]), int(w["days"])

    for (scope, days), group in groupby(sorted(wanted, key=call), key=call):
        asked = moments[[scope, "time"]].drop_duplicates()
        known = asked[asked[scope].isin(codes[scope])]
        values = window_values(entities, scope, days, list(group), known)
        values.index.names = [scope, "time"]
        result = result.merge(values.reset_index(), on=[scope, "time"], how="left")
    for w in wanted:
        if w["how"] in ("last", "first"):
            result[w["name"]] = (result["as_of"] - result[w["name"]]) / DAY
        else:
            result[w["name"]] = result[w["name"]].astype("float64").fillna(0.0)
    names = [w["name"] for w in wanted]
    result[["user_id", "brand_id", "as_of", *names]].to_parquet(out, index=False)


if __name__ == "__main__":
    main()
