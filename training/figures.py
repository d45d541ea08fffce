"""The pictures of an evaluation, as MLflow keeps them and as its page shows them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from training.judged import MODEL
from training.plot_style import COLOURS
from training.plots import lift_plot, reliability_plot
from training.reliability import Reliability
from training.slice_plots import cells_plot, importance_plot, months_plot
from training.stage_plots import curve_by_stage_plot, next_stage_plot

__all__ = ["figures_of"]

_NAMES: Final = {
    MODEL: "Stagecast",
    "recency_frequency": "recency-frequency",
    "base_rate": "base rate",
}


def figures_of(
    evaluation: Mapping[str, Any], importance: Mapping[str, Any] | None, subject: str
) -> dict[str, Figure]:
    """Return the figures by name; what there is nothing to draw of is left out.

    Parameters
    ----------
    evaluation : as `training.evaluation.evaluation_of` returns it
    importance : ``groups``, by group the share of the purchase model's gain
    subject : what was judged, like "240,257 pairs as of 2017-10-01"
    """
    figures: dict[str, Figure] = {}
    for x in evaluation["horizons"]:
        figures |= _of_horizon(evaluation, x, f"Purchase within {x} days; {subject}")
    for x, confusion in evaluation["confusion"].items():
        n = evaluation["horizons"][x]["next_stage"]["n"]
        followed = f"First change of stage within {x} days; {n:,} followed of {subject}"
        figures[f"next_stage_{x}d"] = next_stage_plot(confusion, followed)
    if evaluation["curve_by_stage"]:
        figures["curve_by_stage"] = _curves(evaluation["curve_by_stage"], subject)
    if importance and importance.get("groups"):
        figures["importance"] = importance_plot(
            importance["groups"], "Gain of the purchase model's splits, by group of features"
        )
    return figures


def _of_horizon(evaluation: Mapping[str, Any], x: str, subject: str) -> dict[str, Figure]:
    figures = {}
    if x in evaluation["reliability"]:
        tables = {
            _NAMES[name]: Reliability(**{key: np.asarray(v) for key, v in table.items()})
            for name, table in _shown(evaluation["reliability"][x], (MODEL, "recency_frequency"))
        }
        figures[f"reliability_{x}d"] = reliability_plot(tables, subject)
    if x in evaluation["gain"]:
        curves = {
            _NAMES[name]: (curve["taken"], curve["reached"])
            for name, curve in _shown(evaluation["gain"][x], tuple(_NAMES))
        }
        figures[f"lift_{x}d"] = lift_plot(curves, subject)
    by_month = evaluation["slices"].get("month", {})
    months = {name: rows[x] for name, rows in by_month.items() if x in rows}
    if len(months) > 1:
        figures[f"months_{x}d"] = months_plot(months, subject)
    cells = [cell for cell in evaluation["cells"] if str(cell["horizon"]) == x]
    if cells:
        figures[f"cells_{x}d"] = cells_plot(cells, subject)
    return figures


def _shown(found: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    yield from ((name, found[name]) for name in names if name in found)


def _curves(curves: Mapping[str, Any], subject: str) -> Figure:
    """Draw the stages that are known at every horizon; the largest ones, of very many."""
    days = sorted({x for rows in curves.values() for x in rows}, key=int)
    whole = [stage for stage, rows in curves.items() if len(rows) == len(days)]
    largest = sorted(whole, key=lambda stage: -curves[stage][days[0]]["n"])[: len(COLOURS)]
    said, came = (
        {stage: [curves[stage][x][name] for x in days] for stage in whole if stage in largest}
        for name in ("predicted", "observed")
    )
    return curve_by_stage_plot([int(x) for x in days], said, came, subject)
