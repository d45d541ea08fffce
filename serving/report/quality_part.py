"""How good the champion's forecasts were, beside the base rate and plain baselines."""

from collections.abc import Mapping
from typing import Any, Final

from models.release import champions
from serving.crowd.evaluated import read_evaluated
from serving.report.asked import Asked
from serving.report.markup import caption, picture, pictures, table
from serving.report.part import Part
from serving.views.quality_charts import gain_chart, reliability_chart
from serving.views.quality_tables import baseline_rows, quality_tiles
from serving.views.tiles import tiles_markup
from serving.views.words import Words

__all__ = ["quality_part"]

_NAME: Final = "page_quality"


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
    body = tiles_markup(quality_tiles(words, rows)) + _pictures(words, found.evaluation, x)
    body += table(baseline_rows(words, rows), words("baselines")) + caption(words("baselines_note"))
    data = {"release": found.name, "horizon": int(x), **rows}
    return Part(_NAME, body, note, data)


def _pictures(words: Words, evaluation: Mapping[str, Any], x: str) -> str:
    """Return the reliability and the buyers that the likeliest hold; without one, nothing."""
    shown, table = [], evaluation["reliability"].get(x, {}).get("model")
    if table:
        alt = f"{words('reliability')}: {words('reliability_note')}"
        shown.append(picture(reliability_chart(words, table), alt, words("reliability")))
    curves = evaluation["gain"].get(x)
    if curves:
        alt = f"{words('gain')}: {words('gain_note')}"
        shown.append(picture(gain_chart(words, curves), alt, words("gain")))
    notes = caption(f"{words('reliability_note')} {words('gain_note')}")
    return pictures(shown) + notes if shown else ""
