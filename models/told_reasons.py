"""Told reasons: the strongest reasons of a forecast, each as a fact and what it does."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from features.feature import Feature
from features.stage_rules import StageIfIdle
from models.brand_state import BRAND_COLUMNS
from models.reason_words import Words
from models.reasons import Reasons

__all__ = ["Teller", "ToldReason"]


@dataclass(frozen=True)
class ToldReason:
    """One reason of one forecast.

    Attributes
    ----------
    name, group : of the feature.
    value : what it was; None is unknown, or no number of the pair's own.
    log_odds, points : what it adds, see `models.reasons.Reasons`.
    fact, effect : in words.
    """

    name: str
    group: str
    value: float | None
    log_odds: float
    points: float
    fact: str
    effect: str

    @property
    def sentence(self) -> str:
        """The fact and its effect."""
        return f"{self.fact}: {self.effect}"

    def as_data(self) -> dict[str, Any]:
        """Return plain data."""
        return {**vars(self), "sentence": self.sentence}


class Teller:
    """Tells reasons in a language.

    Parameters
    ----------
    features : of the moments' columns, in their order.
    titles : of the stages by index, `none` first.
    words : the language.
    """

    def __init__(self, features: Sequence[Feature], titles: Sequence[str], words: Words) -> None:
        self._features, self._titles, self.words = features, titles, words
        idle = [f.name for f in features if isinstance(f.source, StageIfIdle)]
        # The index of a stage is no value that people know.
        self._stages = {"stage", *idle}

    def strongest(self, reasons: Reasons, row: int, most: int | None = None) -> list[ToldReason]:
        """Return the reasons of a moment that move it most, either way; all where left out."""
        return self._told(reasons, row, np.abs(reasons.contributions[row]), most)

    def raising(self, reasons: Reasons, row: int, most: int) -> list[ToldReason]:
        """Return the reasons that raise the chance most."""
        return self._told(reasons, row, reasons.contributions[row], most)

    def lowering(self, reasons: Reasons, row: int, most: int) -> list[ToldReason]:
        """Return the reasons that lower the chance most."""
        return self._told(reasons, row, -reasons.contributions[row], most)

    def _told(
        self, reasons: Reasons, row: int, size: npt.NDArray[np.float64], most: int | None
    ) -> list[ToldReason]:
        order = np.argsort(-size, kind="stable")[:most].tolist()
        return [self._one(reasons, row, part) for part in order if size[part] > 0]

    def _one(self, reasons: Reasons, row: int, part: int) -> ToldReason:
        added = float(reasons.contributions[row, part])
        seen = float(reasons.values[row, part]) if part < reasons.values.shape[1] else np.nan
        name = reasons.names[part]
        value = None if name in self._stages or not np.isfinite(seen) else seen
        return ToldReason(
            name,
            reasons.groups[part],
            value,
            added,
            float(reasons.points[row, part]),
            self._fact(reasons, row, part, seen),
            self.words.effect(added),
        )

    def _fact(self, reasons: Reasons, row: int, part: int, value: float) -> str:
        if part < len(self._features):
            feature = self._features[part]
            if isinstance(feature.source, StageIfIdle):
                return self.words.stage_if_idle(self._title(value), feature.source.days)
            return self.words.feature(feature, value)
        name, moments = reasons.names[part], reasons.moments
        if name in BRAND_COLUMNS:
            return self.words.brand(name, value)
        if name == "calibration":
            return self.words.calibration()
        title = self._title(moments.stage[row])
        return self.words.stage(title, bool(moments.known[row]), bool(moments.met[row]))

    def _title(self, stage: float) -> str | None:
        return self._titles[int(stage)] if stage >= 1 else None
