"""Evaluation: what forecasts said against what then happened, beside plain baselines."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from models.baselines import BaseRate, RecencyFrequency
from models.forecast import Forecast
from training.metrics import (
    brier_difference_interval,
    calibration_interval,
    integrated_brier,
    multiclass_log_loss,
    purchase_scores,
)

__all__ = ["BASELINES", "Outcomes", "baseline_forecasts", "evaluate_forecast", "flat_metrics"]

Floats = npt.NDArray[np.float64]

BASELINES: Final = ("base_rate", "recency_frequency")


@dataclass(frozen=True)
class Outcomes:
    """What came of n moments.

    Attributes
    ----------
    time : (n,) days to the first purchase; inf where none was seen.
    follow_up : (n,) days over which that is known.
    outcome_within : by horizon, (n,) number of the outcome of the stage within it, -1 where it
        was not followed.
    """

    users: npt.NDArray[Any]
    weight: Floats
    time: Floats
    follow_up: Floats
    outcome_within: Mapping[int, npt.NDArray[np.int64]]


def baseline_forecasts(
    baselines: Mapping[str, Any], frame: Mapping[str, Floats], stage_names: npt.NDArray[Any]
) -> dict[int, dict[str, Floats]]:
    """Return P(purchase <= x) by horizon and baseline, from a release's stored baselines."""
    return {
        int(x): {
            "base_rate": BaseRate.from_dict(data["base_rate"]).predict_proba(stage_names),
            "recency_frequency": RecencyFrequency.from_dict(
                data["recency_frequency"]
            ).predict_proba(frame),
        }
        for x, data in baselines.items()
    }


def evaluate_forecast(
    forecast: Forecast,
    outcomes: Outcomes,
    baselines: Mapping[int, Mapping[str, Floats]],
    transitions: Floats,
) -> dict[str, Any]:
    """Return the scores of each horizon whose labels are known, and over the horizons.

    Parameters
    ----------
    baselines : by horizon, the baselines' P(purchase <= x).
    transitions : (n, n_horizons, n_outcomes): what the table by stage says of the next stage.

    Returns
    -------
    Plain data: ``horizons`` (by x: the model's scores, each baseline's, the interval of
    predicted over observed, the interval of the Brier score over the base rate's), and
    ``integrated_brier`` by model where several horizons are known.
    """
    by_horizon: dict[str, Any] = {}
    for h, x in enumerate(forecast.horizons):
        known = outcomes.follow_up >= x
        if not known.any():
            continue
        y = (outcomes.time[known] < x).astype(np.float64)
        rows: dict[str, Any] = {"model": _scores(y, forecast.p_purchase[known, h], outcomes, known)}
        for name, p in baselines.get(x, {}).items():
            rows[name] = _scores(y, p[known], outcomes, known)
        rows |= _intervals(y, forecast.p_purchase[known, h], baselines.get(x, {}), outcomes, known)
        rows["next_stage"] = _next_stage(forecast, h, x, outcomes, transitions)
        by_horizon[str(x)] = rows
    return {"horizons": by_horizon, "integrated_brier": _integrated(by_horizon)}


def _scores(
    y: Floats, p: Floats, outcomes: Outcomes, known: npt.NDArray[np.bool_]
) -> dict[str, float | None]:
    scores = purchase_scores(y, p, outcomes.weight[known])
    return {name: _finite(value) for name, value in scores.items()}


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _intervals(
    y: Floats,
    p: Floats,
    baselines: Mapping[str, Floats],
    outcomes: Outcomes,
    known: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    users, weight = outcomes.users[known], outcomes.weight[known]
    found: dict[str, Any] = {
        "calibration_interval": [
            _finite(end) for end in calibration_interval(users, y, p, weight=weight)
        ]
    }
    if "base_rate" in baselines:
        found["brier_over_base_rate"] = [
            _finite(end)
            for end in brier_difference_interval(
                users, y, p, baselines["base_rate"][known], weight=weight
            )
        ]
    return found


def _next_stage(
    forecast: Forecast, h: int, x: int, outcomes: Outcomes, transitions: Floats
) -> dict[str, Any]:
    outcome = outcomes.outcome_within.get(x)
    followed = (
        np.zeros(0, dtype=bool) if outcome is None else ((outcome >= 0) & (outcomes.follow_up >= x))
    )
    if outcome is None or not followed.any():
        return {}
    weight = outcomes.weight[followed]
    return {
        "n": int(followed.sum()),
        "log_loss": multiclass_log_loss(outcome[followed], forecast.p_outcome[followed, h], weight),
        "log_loss_of_table": multiclass_log_loss(
            outcome[followed], transitions[followed, h], weight
        ),
    }


def _integrated(by_horizon: Mapping[str, Any]) -> dict[str, float]:
    horizons = sorted(int(x) for x in by_horizon)
    if len(horizons) < 2:
        return {}
    return {
        name: integrated_brier(horizons, [by_horizon[str(x)][name]["brier"] for x in horizons])
        for name in ("model", *BASELINES)
        if all(name in by_horizon[str(x)] for x in horizons)
    }


def flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores as one level of names, ``auc_30d`` or ``base_rate_auc_30d``."""
    flat: dict[str, float] = {}
    for x, rows in evaluation["horizons"].items():
        for model in ("model", *BASELINES):
            prefix = "" if model == "model" else f"{model}_"
            flat |= {
                f"{prefix}{name}_{x}d": value
                for name, value in rows.get(model, {}).items()
                if value is not None
            }
        flat |= {f"next_stage_{name}_{x}d": value for name, value in rows["next_stage"].items()}
    for model, value in evaluation["integrated_brier"].items():
        flat["integrated_brier" if model == "model" else f"{model}_integrated_brier"] = value
    return flat


def known_horizons(horizons: Sequence[int], follow_up: Floats) -> tuple[int, ...]:
    """Return the horizons that some moment has been followed over."""
    longest = float(follow_up.max()) if len(follow_up) else 0.0
    return tuple(x for x in horizons if x <= longest)
