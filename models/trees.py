"""Boosted trees over a starting score: the one place that trains and runs LightGBM."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

# Where it is used, since its import takes seconds, and most commands' help needs none of it.
if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["DEFAULT_PARAMETERS", "Trees"]

Floats = npt.NDArray[np.float64]

DEFAULT_PARAMETERS: Final[Mapping[str, Any]] = {
    # Few leaves, small steps and a strong ridge: what paid on sparse purchases.
    "num_leaves": 15,
    "learning_rate": 0.1,
    "lambda_l2": 50.0,
    "min_data_in_leaf": 50,
    "feature_fraction": 0.6,
    "bagging_fraction": 0.7,
    "bagging_freq": 1,
    "max_bin": 127,
    "deterministic": True,
    "force_row_wise": True,
    "verbosity": -1,
}


class Trees:
    """A LightGBM booster that learns what a starting score leaves over.

    Parameters
    ----------
    objective : LightGBM's: "binary", "multiclass", "tweedie".
    n_outcomes : scores a row; more than 1 for "multiclass".
    rounds, seed, threads, parameters : how to learn.

    Attributes
    ----------
    booster_ : the booster, or None where only the starting score answers.
    """

    def __init__(
        self,
        objective: str,
        n_outcomes: int = 1,
        rounds: int = 160,
        seed: int = 0,
        threads: int = 1,
        parameters: Mapping[str, Any] | None = None,
    ) -> None:
        self.objective = objective
        self.n_outcomes = n_outcomes
        self.rounds = rounds
        self.seed = seed
        self.threads = threads
        self.parameters = parameters
        self.booster_: lgb.Booster | None = None

    def fit(self, X: npt.NDArray[Any], y: Floats, weight: Floats, start: Floats) -> "Trees":
        """Learn from rows ``X`` (n, n_features), labels and weights (n,).

        `start` holds the starting raw scores: (n,), or (n, n_outcomes).
        """
        import lightgbm as lgb

        settings = {
            **DEFAULT_PARAMETERS,
            **(self.parameters or {}),
            "objective": self.objective,
            "seed": self.seed,
            "num_threads": self.threads,
        }
        if self.n_outcomes > 1:
            settings["num_class"] = self.n_outcomes
        rows = lgb.Dataset(
            X,
            label=y,
            weight=weight,
            init_score=start,
            params=settings,
            free_raw_data=True,
        )
        self.booster_ = lgb.train(settings, rows, num_boost_round=self.rounds)
        return self

    def raw(self, X: Floats, start: Floats) -> Floats:
        """Return starting scores plus trees, in the shape of `start`."""
        if self.booster_ is None:
            return start
        learnt = self.booster_.predict(X, raw_score=True, num_threads=self.threads)
        total: Floats = start + np.asarray(learnt, dtype=np.float64).reshape(start.shape)
        return total

    def text(self) -> str:
        """Return the booster as LightGBM's text; empty where there is none."""
        return "" if self.booster_ is None else str(self.booster_.model_to_string())

    def from_text(self, text: str) -> "Trees":
        """Take the booster that `text` wrote."""
        import lightgbm as lgb

        self.booster_ = lgb.Booster(model_str=text) if text else None
        return self
