"""Boosted trees over a starting score: the one place that trains LightGBM, and asks its trees."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from models.side_by_side import SideBySide

# Where it is used, since its import takes seconds, and most commands' help needs none of it.
if TYPE_CHECKING:
    import lightgbm as lgb

    from models.compiled_trees import CompiledTrees

__all__ = ["DEFAULT_PARAMETERS", "Trees"]

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.integer[Any]]
Rows = npt.NDArray[Any] | SideBySide

DEFAULT_PARAMETERS: Final[Mapping[str, Any]] = {
    # A strong ridge: what paid on sparse purchases.
    "num_leaves": 31,
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

_BATCH: Final = 65_536
_MOST_BY_ROW: Final = 4_000_000


class Trees:
    """A LightGBM booster that learns what a starting score leaves over.

    Parameters
    ----------
    objective : LightGBM's: "binary", "multiclass", "tweedie", "gamma".
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
        rounds: int = 80,
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
        self._compiled: tuple[Any, CompiledTrees] | None = None

    def fit(
        self,
        X: Rows,
        y: npt.NDArray[np.floating[Any]],
        weight: Floats,
        start: Floats,
        row: Ints | None = None,
        extra: npt.NDArray[Any] | None = None,
    ) -> "Trees":
        """Learn from labels and weights (n,) and the rows ``X`` (n, n_features).

        Parameters
        ----------
        start : the starting raw scores: (n,), or (n, n_outcomes).
        row : (n,) where given, the rows learnt from are ``X[row]``, and ``X`` is any length.
        extra : (n,) where given, a last column behind the features, such as the bin.
        """
        import lightgbm as lgb

        batches, settings = _in_batches(X, row, extra), self.settings
        if len(batches) > _MOST_BY_ROW:
            # By row is quicker with few threads, and needs the binned rows three times over.
            settings |= {"force_row_wise": False, "force_col_wise": True}
        rows = lgb.Dataset(
            batches,
            label=y,
            weight=weight,
            init_score=start,
            params=settings,
            free_raw_data=True,
        )
        self.booster_ = lgb.train(settings, rows, num_boost_round=self.rounds)
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """What LightGBM is told."""
        several = {"num_class": self.n_outcomes} if self.n_outcomes > 1 else {}
        return {
            **DEFAULT_PARAMETERS,
            **(self.parameters or {}),
            "objective": self.objective,
            "seed": self.seed,
            "num_threads": self.threads,
            **several,
        }

    def fit_each(
        self, X: Rows, labels: Iterable[tuple[Floats, Floats, Floats]]
    ) -> Iterator["Trees"]:
        """Yield trees like these for several (y, weight, start) of the same rows.

        The rows are sorted into LightGBM's bins once for all, which is half of the work; rows
        without a label have no weight.
        """
        import lightgbm as lgb

        rows = lgb.Dataset(_in_batches(X, None, None), params=self.settings, free_raw_data=True)
        for y, weight, start in labels:
            rows.set_label(y)
            rows.set_weight(weight)
            rows.set_init_score(start)
            one = Trees(self.objective, 1, self.rounds, self.seed, self.threads, self.parameters)
            one.booster_ = lgb.train(self.settings, rows, num_boost_round=self.rounds)
            yield one

    def raw(self, X: Floats, start: Floats) -> Floats:
        """Return starting scores plus trees, in the shape of `start`."""
        if self.booster_ is None:
            return start
        total: Floats = start + self.compiled().raw(X, self.threads).reshape(start.shape)
        return total

    def raw_by_bin(self, X: Floats, bins: Sequence[int], start: Floats) -> Floats:
        """Return the same of each row in each of the bins, a last column that `X` does not have.

        Parameters
        ----------
        X : (n, n_features - 1)
        start : (n, n_bins), or (n, n_bins, n_outcomes).
        """
        if self.booster_ is None:
            return start
        learnt = self.compiled().raw_by_bin(X, bins, self.threads)
        total: Floats = start + learnt.reshape(start.shape)
        return total

    def compiled(self) -> "CompiledTrees":
        """Return the trees as raw scores are asked of them: compiled, when they are first asked.

        Raises
        ------
        ReleaseError
            Where there are no trees, or trees of a kind that is not evaluated here.
        """
        from models.compiled_trees import CompiledTrees

        if self._compiled is None or self._compiled[0] is not self.booster_:
            self._compiled = self.booster_, CompiledTrees(self.text())
        return self._compiled[1]

    def contributions(self, X: Floats) -> Floats:
        """Return what each feature adds to the raw score (SHAP; Lundberg et al. 2020).

        Returns
        -------
        (n, n_features + 1); the last is the mean score, and each row sums to its raw score.
        """
        if self.booster_ is None:
            return np.zeros((len(X), X.shape[1] + 1))
        found = self.booster_.predict(X, pred_contrib=True, num_threads=self.threads)
        return np.asarray(found, dtype=np.float64)

    def importance(self) -> Floats:
        """Return each feature's part of the gain, (n_features,); empty where there are no trees."""
        if self.booster_ is None:
            return np.zeros(0)
        gain = np.asarray(self.booster_.feature_importance("gain"), dtype=np.float64)
        return gain / max(float(gain.sum()), 1e-300)

    def text(self) -> str:
        """Return the booster as LightGBM's text; empty where there is none."""
        return "" if self.booster_ is None else str(self.booster_.model_to_string())

    def from_text(self, text: str) -> "Trees":
        """Take the booster that `text` wrote."""
        import lightgbm as lgb

        self.booster_ = lgb.Booster(model_str=text) if text else None
        return self

    def __getstate__(self) -> dict[str, Any]:
        """Return the state with the booster as its text, which holds no code."""
        return {**vars(self), "booster_": self.text(), "_compiled": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self.from_text(state["booster_"])


def _in_batches(X: Rows, row: Ints | None, extra: npt.NDArray[Any] | None) -> Any:
    """Return the rows as LightGBM may ask for them, a batch at a time: they are never all made."""
    import lightgbm as lgb

    class Batches(lgb.Sequence):  # type: ignore[misc]
        batch_size = _BATCH

        def __len__(self) -> int:
            return len(X) if row is None else len(row)

        def __getitem__(self, asked: Any) -> Any:
            some = X[asked] if row is None else X[row[asked]]
            if extra is None:
                return np.asarray(some, dtype=np.float64)
            if isinstance(asked, slice):
                return np.column_stack([some, extra[asked]]).astype(np.float64)
            return np.append(some, extra[asked]).astype(np.float64)

    return Batches()
