"""CDNOW: a small log of orders alone, and the model that was made for such logs, BG/NBD.

``python -m benchmarks.cdnow`` writes its part of docs/benchmarks.md. With ``--as-of DAY`` it looks
at another day, and leaves the page alone; so it does where no registry answers.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks._cdnow import cdnow_sample, write_log
from benchmarks._commands import stagecast
from benchmarks._page import table, write_part
from models.baselines import BaseRate, RecencyFrequency
from models.batch import batches_of_moments, pairs_before
from models.bg_nbd import BetaGeometricNBD
from models.discrete_hazards import DiscreteHazards
from models.forecast import Moments
from models.release import Release
from stagecast.configuration import load_configuration
from stagecast.releases import find_release
from training.metrics import auc, log_loss, purchase_scores

__all__ = ["main"]

Floats = npt.NDArray[np.float64]
Score = Callable[[Floats, Floats, Floats], float]

_AS_OF: Final = "1997-09-30"
_HORIZONS: Final = (30, 90)
_DRAWS: Final = 1_000
_NAMES: Final = {
    "model": "Stagecast",
    "bg_nbd": "BG/NBD",
    "hazards": "discrete hazards of ten features",
    "recency_frequency": "recency-frequency",
    "base_rate": "base rate of the stage",
}
_HEAD: Final = (
    "x, days",
    "forecast by",
    "AUC",
    "AP",
    "log loss",
    "Brier",
    "Σp / Σy",
    "AUC over BG/NBD's",
    "log loss over BG/NBD's",
)


def purchase_histories(orders: pd.DataFrame, as_of: pd.Timestamp) -> pd.DataFrame:
    """Return ``frequency, recency, age`` in days by user, of the orders before `as_of`.

    Orders of one day are one order; the first day starts the clock and is not counted.
    """
    before = orders[orders["occurred_at"] < as_of]
    days = before["occurred_at"].dt.floor("D").groupby(before["user_id"])
    first, last, day = days.min(), days.max(), pd.Timedelta(days=1)
    return pd.DataFrame(
        {
            "frequency": days.nunique() - 1,
            "recency": (last - first) / day,
            "age": (as_of - first) / day,
        }
    )


def forecasts(config: Path, run: str, as_of: str) -> pd.DataFrame:
    """Return P(purchase <= x) of a run and its baselines, a column for each (name, x), by user."""
    configuration = load_configuration(config)
    release = find_release(configuration, run)
    instant = configuration.instant(as_of)
    parts = []
    with configuration.dataset.open() as data:
        asked = pairs_before(data, instant).mutate(as_of=instant)
        for ids, moments in batches_of_moments(data, release, asked):
            p = release.model.predict(moments, _HORIZONS).p_purchase
            found = {("model", x): p[:, h] for h, x in enumerate(_HORIZONS)}
            found |= baseline_forecasts(release, moments)
            parts.append(pd.DataFrame(found, index=ids["user_id"].to_pylist()))
    return pd.concat(parts)


def baseline_forecasts(release: Release, moments: Moments) -> dict[tuple[str, int], Floats]:
    """Return the same of what the release carries beside its models."""
    names, baselines = [feature.name for feature in release.features], release.baselines
    seen = dict(zip(names, moments.X.T, strict=True))
    stages = np.asarray(release.model.stages)[moments.stage]
    hazards = DiscreteHazards.from_dict(baselines["hazards"])
    curve = hazards.predict_cumulative_incidence(seen, _HORIZONS)
    found: dict[tuple[str, int], Floats] = {}
    for h, x in enumerate(_HORIZONS):
        of_x = baselines["horizons"][str(x)]
        line = RecencyFrequency.from_dict(of_x["recency_frequency"])
        found["recency_frequency", x] = line.predict_proba(seen)
        found["base_rate", x] = BaseRate.from_dict(of_x["base_rate"]).predict_proba(stages)
        found["hazards", x] = curve[:, h]
    return found


def with_bg_nbd(
    said: pd.DataFrame, histories: pd.DataFrame
) -> tuple[pd.DataFrame, BetaGeometricNBD]:
    """Return the forecasts with those of BG/NBD, learnt from all histories; and BG/NBD."""
    model = BetaGeometricNBD().fit(*(histories[name] for name in histories))
    x, t, T = (histories[name].loc[said.index].to_numpy() for name in histories)
    p = model.predict_cumulative_incidence(x, t, T, _HORIZONS)
    return said.join(
        pd.DataFrame({("bg_nbd", x): p[:, h] for h, x in enumerate(_HORIZONS)}, index=said.index)
    ), model


def labels(orders: pd.DataFrame, users: pd.Index, as_of: pd.Timestamp, x: int) -> Floats:
    """Return 1 for the users with an order in ``[as_of, as_of + x days)``, else 0."""
    at = orders["occurred_at"]
    came = orders.loc[(at >= as_of) & (at < as_of + pd.Timedelta(days=x)), "user_id"]
    return users.isin(came).astype(np.float64)


def interval(score: Score, y: Floats, p: Floats, other: Floats) -> str:
    """Return the difference of a score to another forecast's, and its interval by user."""
    # A user is a row: there is one brand.
    generator, n = np.random.default_rng(0), len(y)
    drawn = []
    for _ in range(_DRAWS):
        times = np.bincount(generator.integers(0, n, n), minlength=n).astype(np.float64)
        drawn.append(score(y, p, times) - score(y, other, times))
    low, high = np.quantile(drawn, [0.025, 0.975])
    ones = np.ones(n)
    return f"{score(y, p, ones) - score(y, other, ones):+.4f} ({low:+.4f} to {high:+.4f})"


def rows_of(said: pd.DataFrame, y: Floats, x: int) -> list[list[str]]:
    """Return the rows of the table of one horizon."""
    bg_nbd = said["bg_nbd", x].to_numpy()
    rows = []
    for key, name in _NAMES.items():
        p = said[key, x].to_numpy()
        s = purchase_scores(y, p)
        over = [
            "" if key == "bg_nbd" else interval(score, y, p, bg_nbd) for score in (auc, log_loss)
        ]
        four = [f"{s[of]:.4f}" for of in ("auc", "average_precision", "log_loss", "brier")]
        rows.append(
            [
                str(x) if key == "model" else "",
                name,
                *four,
                f"{s['predicted_over_observed']:.3f}",
                *over,
            ]
        )
    return rows


def check_against_evaluate(said: pd.DataFrame, y: Floats, x: int, found: Mapping[str, Any]) -> None:
    """Refuse to print what `evaluate` does not say as well."""
    scores = found["evaluation"]["horizons"][str(x)]["model"]
    here = purchase_scores(y, said["model", x].to_numpy())
    for name in ("auc", "log_loss", "n", "buyers"):
        if abs(scores[name] - here[name]) > 1e-9:
            raise SystemExit(f"{name} at {x} days: {here[name]}; evaluate says {scores[name]}.")


def section(scratch: Path, as_of: str) -> list[str] | None:
    """Return the part of the page; None where the data cannot be had."""
    orders = cdnow_sample(scratch / "package")
    if orders is None:
        return None
    config, day = write_log(orders, scratch / "log"), pd.Timestamp(as_of, tz="UTC")
    run = stagecast("train", str(config), "--as-of", as_of)["run"]
    found = stagecast("evaluate", str(config), "--as-of", as_of, "--release", run)
    said, model = with_bg_nbd(forecasts(config, run, as_of), purchase_histories(orders, day))
    rows, buyers = [], []
    for x in _HORIZONS:
        y = labels(orders, said.index, day, x)
        check_against_evaluate(said, y, x, found)
        buyers.append(f"{int(y.sum())} bought within {x} days")
        rows += rows_of(said, y, x)
    learnt = ", ".join(f"{k} {v:.3f}" for k, v in model.to_dict().items() if k != "kind")
    return [
        "## CDNOW",
        "",
        f"The orders of {orders['user_id'].nunique():,} customers of one shop, and nothing else "
        f"of them; as of {as_of}, {len(said):,} of them, of whom {' and '.join(buyers)}. BG/NBD "
        f"(Fader, Hardie and Lee 2005) learnt from the same orders by day: {learnt}. In brackets, "
        "95 % intervals of the difference by customer; above 0 in AUC and below 0 in log loss is "
        "better than BG/NBD.",
        "",
        *table(_HEAD, rows),
    ]


def main() -> None:
    """Measure, and write the part of the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--as-of", default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        part = section(Path(scratch), asked.as_of or _AS_OF)
    if part is None:
        print("CDNOW: skipped, since its package could not be installed (no registry answered).")
        return
    print(*part, sep="\n")
    if asked.as_of is None:
        write_part("cdnow", part)


if __name__ == "__main__":
    main()
