"""What is expected at each horizon, and earlier forecasts over what came true."""

from serving.crowd.crowd_forecast import CrowdForecast, Outlook
from serving.crowd.crowd_forecast_day import forecast_of_day
from serving.crowd.crowd_forecast_kept import kept_forecasts
from serving.crowd.crowd_forecast_over import LaidOver, laid_over, over_horizons
from serving.crowd.crowd_forecast_scored import scored_days
from serving.report.asked import Asked
from serving.report.crowd_parts import View
from serving.report.markup import caption, picture, pictures, table
from serving.report.part import Part
from serving.views.crowd_charts import change_chart, laid_over_chart
from serving.views.crowd_tables import expected_tiles, today_rows
from serving.views.stage_colours import stage_colours
from serving.views.tiles import tiles_markup

__all__ = ["earlier_part", "outlook_part"]


def outlook_part(asked: Asked, view: View) -> Part:
    """Return what is expected by the end of each horizon; the middle one in a picture too."""
    words, day = asked.words, view.day
    if day not in scored_days(asked.scores):
        way = f"stagecast score {asked.config} --as-of {day}"
        return Part.without("expected", words("not_scored", day=day), way)
    forecast = forecast_of_day(
        view.census, asked.scores, asked.releases, day, asked.zone, lambda _: None
    )
    outlooks = [forecast.outlook(asked.scope, view.census.categories, x) for x in forecast.horizons]
    middle = outlooks[len(outlooks) // 2]
    body = tiles_markup(expected_tiles(words, middle, day))
    body += _picture(asked, view, forecast, middle)
    body += table(_rows(asked, outlooks, view.now(asked)), words("expected"))
    if not forecast.honest:
        body += caption(words("not_in_time", release=forecast.release, day=day))
    data = {
        "release": forecast.release,
        "in_time": forecast.honest,
        "horizons": [outlook.as_data() for outlook in outlooks],
    }
    return Part("expected", body, words("all_horizons_note", day=day), data)


def _picture(asked: Asked, view: View, forecast: CrowdForecast, outlook: Outlook) -> str:
    words, names = asked.words, asked.stage_names()
    # Above the picture, where it is folded on a telephone; at the axis it would be cut off.
    title = words("change_axis", x=outlook.x)
    colours = stage_colours(forecast.stages)
    figure = change_chart(outlook, view.now(asked), names, colours, axis="")
    return picture(figure, f"{title}: {view.day}", title)


def _rows(asked: Asked, outlooks: list[Outlook], now: dict[str, int]) -> dict[str, list[str]]:
    words = asked.words
    rows = today_rows(words, asked.stage_names(), outlooks[0], now)
    for one in outlooks:
        rows[words("expected_in", x=one.x)] = [
            f"{known + new:,.0f}\n{words('in_between', low=f'{low:,.0f}', high=f'{high:,.0f}')}"
            for known, new, low, high in zip(one.known, one.new, one.low, one.high, strict=True)
        ]
    return rows


def earlier_part(asked: Asked, view: View) -> Part:
    """Return what earlier forecasts said of each stage, over what came true."""
    words, census = asked.words, view.census
    kept = list(kept_forecasts(asked.scores))
    over = over_horizons(kept, census)
    if not over:
        return Part.without("earlier", words("nothing_over"))
    found = laid_over(kept, census, asked.scope, over[len(over) // 2])
    stages = found.series.stages[1:]
    held, n = sum(found.held(stage) for stage in stages), len(stages) * len(found.outlooks)
    note = words("earlier_all_note", x=found.x, held=held, n=n)
    shown = [_laid_over(asked, found, stage) for stage in stages]
    data = {"days_before": found.x, "intervals": n, "held": held}
    return Part("earlier", pictures(shown), note, data)


def _laid_over(asked: Asked, found: LaidOver, stage: str) -> str:
    words, name = asked.words, asked.stage_names()[stage]
    figure = laid_over_chart(words, found, stage)
    days = f"{found.series.days[0]} – {found.series.days[-1]}"
    return picture(figure, f"{words('earlier')}: {name}, {days}", name)
