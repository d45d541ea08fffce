"""The manners of scikit-learn's estimators, without its import, which takes a second."""

import inspect
from typing import Any, NoReturn, Self

import numpy.typing as npt

from features.errors import TrainingError
from models.censored import matrix

__all__ = ["Estimator"]


class Estimator:
    """What `sklearn.base.clone`, searches and displays ask of an estimator.

    A constructor only stores its arguments, by their names; `fit` learns, and learnt names end
    in ``_``. The outcome is censored, so `fit` takes ``time`` and ``event`` in place of ``y``.
    """

    @classmethod
    def _names(cls) -> list[str]:
        names = list(inspect.signature(cls.__init__).parameters)
        return names[1:]

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's arguments by name; none of them is an estimator."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **parameters: Any) -> Self:
        """Set arguments of the constructor.

        Raises
        ------
        ValueError
            Where there is no argument of a name, as scikit-learn's own estimators do.
        """
        for name, value in parameters.items():
            if name not in self._names():
                raise ValueError(
                    f"{type(self).__name__} has no parameter {name!r}; "
                    f"it has {', '.join(self._names())}."
                )
            setattr(self, name, value)
        return self

    def _learns_from(self, X: Any) -> npt.NDArray[Any]:
        """Return the matrix that is learnt from, and keep how many columns it has."""
        values = matrix(X)
        self.n_features_in_ = values.shape[1]
        return values

    def _asked(self, X: Any) -> npt.NDArray[Any]:
        """Return the matrix that is asked about, (n_moments, n_features).

        Raises
        ------
        TrainingError
            Where it has another number of columns than was learnt from.
        """
        values = matrix(X)
        # What comes from a release has no width of its own; its trees refuse another one.
        learnt = vars(self).get("n_features_in_", values.shape[1])
        if values.shape[1] != learnt:
            raise TrainingError(
                f"X has {values.shape[1]} columns; the model was trained on {learnt}."
            )
        return values

    def __getattr__(self, name: str) -> NoReturn:
        if name.endswith("_") and not name.startswith("_"):
            # Here and not above: the import is for who made a mistake.
            from sklearn.exceptions import NotFittedError

            raise NotFittedError(
                f"This {type(self).__name__} has not learnt anything yet, so it has no {name}; "
                "call fit first."
            )
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}.")

    def __repr__(self) -> str:
        plain = inspect.signature(type(self).__init__).parameters
        given = [
            f"{name}={value!r}"
            for name, value in self.get_params().items()
            if repr(value) != repr(plain[name].default)
        ]
        return f"{type(self).__name__}({', '.join(given)})"

    def __sklearn_is_fitted__(self) -> bool:
        """Whether anything was learnt."""
        return any(name.endswith("_") and not name.startswith("_") for name in vars(self))

    def __sklearn_tags__(self) -> Any:
        """Return what scikit-learn wants to know: unknown values are welcome."""
        from sklearn.utils import InputTags, Tags, TargetTags

        return Tags(
            estimator_type=None,
            target_tags=TargetTags(required=True),
            input_tags=InputTags(allow_nan=True),
        )
