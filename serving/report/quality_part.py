"""How good the champion's forecasts were, beside the base rate and plain baselines."""

from collections.abc import Mapping
from typing import Any, Final

from models.release import champions
from serving.crowd.evaluated import read_evaluated
from serving.report.asked import Asked
from serving.report.markup import caption, picture, pictures, table
from serving.report.part import Part
from serving.views.quality_charts import gain_chart, reliability_chart
from serving.views.tiles import Tile, tiles_markup
from serving.views.words import Words

__all__ = ["quality_part"]

_NAME: Final = "page_quality"
_BASELINES: Final = ("base_rate", "recency_frequency", "hazards", "per_horizon", "bg_nbd")
_SCORES: Final = ("auc", "average_precision", "brier", "log_loss", "lift_10pct")
_CURVES: Final = ("model", "recency_frequency", "base_rate")


def quality_part(asked: Asked) -> Part:
    """Return what the champion's evaluation says of purchases at its middle horizon."""
    words, config = asked.words, asked.config
    crowned = champions(asked.releases)
    if not crowned:
        return Part.without(_NAME, words("no_champion"), f"stagecast promote {config} RUN")
    found = read_evaluated(asked.releases, crowned[-1])
    if found.evaluation is None:
        way = f"stagecast evaluate {config} --as-of DATE"
        return Part.without(_NAME, words("no_evaluation"), way)
    horizons = sorted(found.evaluation["horizons"], key=int)
    x = horizons[len(horizons) // 2]
    rows = found.evaluation["horizons"][x]
    judged = words("judged_note", n=f"{rows['model']['n']:,.0f}", x=x)
    day = asked.day_text(found.as_of)
    note = f"{words('quality_caption', release=found.name, day=day)} · {judged}"
    body = tiles_markup(_tiles(words, rows)) + _pictures(words, found.evaluation, x)
    body += table(_rows(words, rows), words("baselines")) + caption(words("baselines_note"))
    data = {"release": found.name, "horizon": int(x), **rows}
    return Part(_NAME, body, note, data)


def _tiles(words: Words, rows: Mapping[str, Any]) -> list[Tile]:
    model, base, ends = rows["model"], rows["base_rate"], rows.get("intervals", {})
    return [
        _tile(words, "calibration", model["predicted_over_observed"], rows["calibration_interval"]),
        _tile(words, "auc", model["auc"], ends.get("auc"), base["auc"]),
        _tile(words, "brier", model["brier"], ends.get("brier"), base["brier"]),
        _tile(words, "lift_10pct", model["lift_10pct"], None, base["lift_10pct"]),
    ]


def _tile(
    words: Words, name: str, number: float | None, ends: Any, base: float | None = None
) -> Tile:
    shown = "–" if number is None else f"{number:.3f}"
    told = [] if base is None else [words("base_rate_is", value=f"{base:.3f}")]
    if ends and None not in ends:
        told.insert(0, words("interval_95", low=f"{ends[0]:.3f}", high=f"{ends[1]:.3f}"))
    return Tile(name, words(name), number, shown, note=" · ".join(told))


def _pictures(words: Words, evaluation: Mapping[str, Any], x: str) -> str:
    """Return the reliability and the buyers that the likeliest hold; without one, nothing."""
    shown, table = [], evaluation["reliability"].get(x, {}).get("model")
    if table:
        figure = reliability_chart(table, words("forecast_axis"), words("came_axis"))
        alt = f"{words('reliability')}: {words('reliability_note')}"
        shown.append(picture(figure, alt, words("reliability")))
    curves = evaluation["gain"].get(x, {})
    named = {_model(words, name): curves[name] for name in _CURVES if name in curves}
    if named:
        figure = gain_chart(named, words("taken_axis"), words("reached_axis"))
        alt = f"{words('gain')}: {words('gain_note')}"
        shown.append(picture(figure, alt, words("gain")))
    notes = caption(f"{words('reliability_note')} {words('gain_note')}")
    return pictures(shown) + notes if shown else ""


def _model(words: Words, name: str) -> str:
    return words(f"model_{name}")


def _rows(words: Words, rows: Mapping[str, Any]) -> dict[str, list[str]]:
    names = [name for name in ("model", *_BASELINES) if name in rows]
    found = {words("model"): [_model(words, name) for name in names]}
    for score in _SCORES:
        values = [rows[name][score] for name in names]
        found[words(score)] = ["–" if value is None else f"{value:.4f}" for value in values]
    return found
