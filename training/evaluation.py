"""Evaluation: what forecasts said against what then happened, beside plain baselines."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from training.baselines import BASELINES
from training.censored_brier import censored_brier, over_horizons
from training.draws import UserDraws
from training.judged import MODEL, Judged
from training.metrics import gain_curve, multiclass_log_loss, purchase_scores
from training.reliability import Reliability, reliability
from training.slices import cell_levels, known_scores, slice_scores

__all__ = ["NOTHING_JUDGED", "evaluation_of", "flat_metrics", "known_horizons", "lost_to"]

Floats = npt.NDArray[np.float64]

NOTHING_JUDGED: Final[Mapping[str, Any]] = {
    "moments": 0,
    "users": 0,
    "horizons": {},
    "integrated_brier": {},
    "integrated_brier_over": {},
    "reliability": {},
    "gain": {},
    "curve_by_stage": {},
    "confusion": {},
    "slices": {},
    "cells": [],
    "losses": [],
}
"""The evaluation of a log too short to judge anything."""


def evaluation_of(judged: Judged, seed: int = 0) -> dict[str, Any]:
    """Return every score, as plain data.

    Returns
    -------
    ``horizons`` by x: scores of "model" and of each baseline; ``intervals`` of the model's
    (95 %, by user); ``calibration_interval``; ``brier_over`` by baseline, the interval of the
    Brier score over its; ``next_stage``; ``value``.
    ``integrated_brier`` by model, and ``integrated_brier_over`` by baseline: its interval.
    ``reliability``, ``gain``, ``curve_by_stage``, ``confusion``, ``slices``, ``cells``: what the
    pictures show. ``losses``: where a baseline beats the model.
    """
    draws = UserDraws(judged.users, seed=seed)
    horizons = {
        str(x): _at_horizon(judged, h, x, draws)
        for h, x in enumerate(judged.horizons)
        if judged.known(x).any()
    }
    found = {
        "moments": len(judged),
        "users": draws.n_users,
        "horizons": horizons,
        **_integrated(judged, draws),
        "reliability": _by_horizon(judged, _reliabilities),
        "gain": _by_horizon(judged, _gains),
        "curve_by_stage": _curves(judged),
        "confusion": _confusions(judged),
        "slices": slice_scores(judged, draws),
        "cells": cell_levels(judged, draws),
    }
    return {**found, "losses": lost_to(found)}


def _at_horizon(judged: Judged, h: int, x: int, draws: UserDraws) -> dict[str, Any]:
    known = judged.known(x)
    weight, y = judged.weight[known], judged.bought(x)[known]
    rows: dict[str, Any] = {
        name: known_scores(purchase_scores(y, p[known, h], weight))
        for name, p in judged.p.items()
        if not np.isnan(p[known, h]).any()
    }
    p = judged.p[MODEL]
    mass = np.where(known, judged.weight, 0.0)
    every, said = judged.bought(x), p[:, h]
    ranks = draws.ranks(every, said, mass)
    tiny = np.clip(said, 1e-15, 1 - 1e-15)
    losses = -(every * np.log(tiny) + (1.0 - every) * np.log1p(-tiny))
    rows["calibration_interval"] = list(draws.ratio(mass * said, mass * every))
    rows["intervals"] = {
        "auc": list(ranks[0]),
        "average_precision": list(ranks[1]),
        "log_loss": list(draws.ratio(mass * losses, mass)),
        "brier": list(draws.ratio(mass * (said - every) ** 2, mass)),
    }
    rows["brier_over"] = {
        name: list(draws.ratio(mass * ((said - every) ** 2 - (other[:, h] - every) ** 2), mass))
        for name, other in judged.p.items()
        if name in rows and name != MODEL
    }
    rows["next_stage"] = _next_stage(judged, h, x)
    rows["value"] = _value(judged, h, x, draws)
    return rows


def _next_stage(judged: Judged, h: int, x: int) -> dict[str, Any]:
    outcome = judged.outcome_within[:, h]
    followed = (outcome >= 0) & judged.known(x)
    if not followed.any():
        return {}
    weight = judged.weight[followed]
    said, table = judged.forecast.p_outcome[followed, h], judged.transitions[followed, h]
    return {
        "n": int(followed.sum()),
        "log_loss": multiclass_log_loss(outcome[followed], said, weight),
        "log_loss_of_table": multiclass_log_loss(outcome[followed], table, weight),
    }


def _value(judged: Judged, h: int, x: int, draws: UserDraws) -> dict[str, Any]:
    value, known = judged.forecast.value, judged.known(x)
    if value is None or judged.spent is None or not known.any():
        return {}
    mass = np.where(known, judged.weight, 0.0)
    said, spent = mass * value[:, h], mass * judged.spent[:, h]
    return {
        "expected": float(said.sum()),
        "spent": float(spent.sum()),
        "predicted_over_observed": float(said.sum() / spent.sum()) if spent.sum() else None,
        "interval": list(draws.ratio(said, spent)),
    }


def _integrated(judged: Judged, draws: UserDraws) -> dict[str, Any]:
    """Return the integrated Brier scores, and how far the model's lies over each baseline's.

    Each moment counts as far as it was followed, weighted for those that were not (see
    `training.censored_brier`).
    """
    x = sorted(day for day in judged.horizons if judged.known(day).any())
    if len(x) < 2:
        return {"integrated_brier": {}, "integrated_brier_over": {}}
    places = [judged.horizons.index(day) for day in x]
    rows = {
        name: censored_brier(judged.time, judged.follow_up, p[:, places], x)
        for name, p in judged.p.items()
        if not np.isnan(p[:, places]).any()
    }
    whole = {name: over_horizons(errors, x) for name, errors in rows.items()}
    w = judged.weight
    return {
        "integrated_brier": {
            name: float((w * each).sum() / w.sum()) for name, each in whole.items()
        },
        "integrated_brier_over": {
            name: list(draws.ratio(w * (whole[MODEL] - each), w))
            for name, each in whole.items()
            if name != MODEL
        },
    }


def _by_horizon(judged: Judged, view: Any) -> dict[str, Any]:
    found = {}
    for h, x in enumerate(judged.horizons):
        known = judged.known(x)
        y = judged.bought(x)[known]
        if 0 < y.sum() < len(y):
            found[str(x)] = {
                name: view(y, p[known, h], judged.weight[known])
                for name, p in judged.p.items()
                if not np.isnan(p[known, h]).any()
            }
    return found


def _reliabilities(y: Floats, p: Floats, weight: Floats) -> dict[str, Any]:
    table: Reliability = reliability(y, p, weight=weight)
    return {name: value.tolist() for name, value in vars(table).items()}


def _gains(y: Floats, p: Floats, weight: Floats) -> dict[str, Any]:
    taken, reached = gain_curve(y, p, weight)
    at = np.concatenate([np.linspace(0, 0.1, 41), np.linspace(0.1, 1.0, 46)[1:]])
    return {"taken": at.tolist(), "reached": np.interp(at, taken, reached).tolist()}


def _curves(judged: Judged) -> dict[str, Any]:
    """Return what was forecast and what came by stage and horizon."""
    found: dict[str, Any] = {}
    for index, name in enumerate(judged.stages):
        at = judged.stage == index
        rows = {}
        for h, x in enumerate(judged.horizons):
            some = at & judged.known(x)
            if judged.weight[some].sum() > 0:
                w = judged.weight[some] / judged.weight[some].sum()
                rows[str(x)] = {
                    "predicted": float((w * judged.p[MODEL][some, h]).sum()),
                    "observed": float((w * judged.bought(x)[some]).sum()),
                    "n": int(some.sum()),
                }
        if rows:
            found[name] = rows
    return found


def _confusions(judged: Judged) -> dict[str, Any]:
    """Return, by horizon, what was expected to become of each stage and what did, in moments."""
    outcomes = ["stay", *judged.stages[1:], "lapse"]
    found: dict[str, Any] = {}
    for h, x in enumerate(judged.horizons):
        outcome = judged.outcome_within[:, h]
        some = (outcome >= 0) & judged.known(x)
        if not some.any():
            continue
        shape = (len(judged.stages), len(outcomes))
        expected, observed = np.zeros(shape), np.zeros(shape)
        weight, stage = judged.weight[some], judged.stage[some]
        np.add.at(expected, stage, weight[:, None] * judged.forecast.p_outcome[some, h])
        np.add.at(observed, (stage, outcome[some]), weight)
        found[str(x)] = {
            "stages": list(judged.stages),
            "outcomes": outcomes,
            "expected": expected.tolist(),
            "observed": observed.tolist(),
        }
    return found


def lost_to(evaluation: Mapping[str, Any]) -> list[str]:
    """Return where a baseline has the lower Brier score, in words; beyond doubt is said."""
    found = []
    for x, rows in evaluation["horizons"].items():
        for name, called in BASELINES.items():
            if name in rows and rows[name]["brier"] < rows[MODEL]["brier"]:
                low = rows["brier_over"][name][0]
                sure = low is not None and low > 0
                found.append(f"{called} at {x} days" + (", beyond doubt" if sure else ""))
    return found


def flat_metrics(evaluation: Mapping[str, Any]) -> dict[str, float]:
    """Return the scores as one level of names, ``auc_30d`` or ``base_rate_auc_30d``."""
    flat: dict[str, float] = {}
    for x, rows in evaluation["horizons"].items():
        for model in (MODEL, *BASELINES):
            prefix = "" if model == MODEL else f"{model}_"
            flat |= {
                f"{prefix}{name}_{x}d": value
                for name, value in rows.get(model, {}).items()
                if value is not None
            }
        flat |= {f"next_stage_{name}_{x}d": value for name, value in rows["next_stage"].items()}
        ratio = rows["value"].get("predicted_over_observed")
        if ratio is not None:
            flat[f"value_predicted_over_observed_{x}d"] = ratio
    for model, value in evaluation["integrated_brier"].items():
        flat["integrated_brier" if model == MODEL else f"{model}_integrated_brier"] = value
    return flat


def known_horizons(horizons: Sequence[int], follow_up: Floats) -> tuple[int, ...]:
    """Return the horizons that some moment has been followed over."""
    longest = float(follow_up.max()) if len(follow_up) else 0.0
    return tuple(x for x in horizons if x <= longest)
