"""Tiles and tables of a release's quality, from the rows of its evaluation at a horizon."""

from collections.abc import Mapping
from typing import Any, Final

from serving.views.tiles import Tile
from serving.views.words import Words

__all__ = ["baseline_rows", "quality_tiles"]

_MODELS: Final = ("model", "base_rate", "recency_frequency", "hazards", "per_horizon", "bg_nbd")
_SCORES: Final = ("auc", "average_precision", "brier", "log_loss", "lift_10pct")
_TILES: Final = ("auc", "average_precision", "brier", "lift_10pct")


def quality_tiles(words: Words, rows: Mapping[str, Any]) -> list[Tile]:
    """Return the buyers, the calibration, and scores beside those of the base rate."""
    model, base, ends = rows["model"], rows["base_rate"], rows.get("intervals", {})
    ratio, between = model["predicted_over_observed"], rows["calibration_interval"]
    return [
        Tile("judged_buyers", words("buyers"), model["buyers"], f"{model['buyers']:,.0f}"),
        _tile(words, "calibration", ratio, between),
        *(_tile(words, name, model[name], ends.get(name), base[name]) for name in _TILES),
    ]


def _tile(
    words: Words, name: str, number: float | None, ends: Any, base: float | None = None
) -> Tile:
    shown = "–" if number is None else f"{number:.3f}"
    told = [] if base is None else [words("base_rate_is", value=f"{base:.3f}")]
    if ends and None not in ends:
        told.insert(0, words("interval_95", low=f"{ends[0]:.3f}", high=f"{ends[1]:.3f}"))
    return Tile(name, words(name), number, shown, note=" · ".join(told))


def baseline_rows(words: Words, rows: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the scores of the model and of the plain baselines that it was judged beside."""
    names = [name for name in _MODELS if name in rows]
    found = {words("model"): [words(f"model_{name}") for name in names]}
    for score in _SCORES:
        values = [rows[name][score] for name in names]
        found[words(score)] = ["–" if value is None else f"{value:.4f}" for value in values]
    return found
