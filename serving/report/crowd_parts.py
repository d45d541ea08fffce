"""Where pairs stand, day by day, and who moved where."""

from dataclasses import dataclass
from datetime import date

from serving.crowd.census import Census, CensusSeries
from serving.report.asked import Asked
from serving.report.markup import picture, pictures, table
from serving.report.part import Part
from serving.views.crowd_charts import flow_chart, series_chart
from serving.views.crowd_tables import census_tiles, flow_rows
from serving.views.stage_colours import stage_colours
from serving.views.tiles import tiles_markup

__all__ = ["View", "flow_part", "series_part", "stages_part"]


@dataclass(frozen=True)
class View:
    """A census, looked at from one day to another."""

    census: Census
    first: date
    day: date

    def series(self, asked: Asked) -> CensusSeries:
        """Return the pairs of the scope by stage and day."""
        return self.census.series(asked.scope, self.first, self.day)

    def now(self, asked: Asked) -> dict[str, int]:
        """Return the pairs of the scope by stage on the day."""
        series = self.series(asked)
        return dict(zip(series.stages, map(int, series.counts[-1]), strict=True))


def stages_part(asked: Asked, view: View) -> Part:
    """Return how many pairs stand at each stage, and how that changed."""
    series = view.series(asked)
    tiles = census_tiles(asked.words, asked.stage_names(), series)
    note = asked.words("stages_now_note", day=view.first)
    return Part("stages_now", tiles_markup(tiles), note, series.as_data())


def series_part(asked: Asked, view: View) -> Part:
    """Return the pairs at each stage day by day."""
    words, names, series = asked.words, asked.stage_names(), view.series(asked)
    colours = stage_colours(series.stages)
    shown = [
        picture(
            series_chart(series.days, series.counts[:, place], colours[stage]),
            f"{words('series')}: {names[stage]}, {view.first} – {view.day}",
            names[stage],
        )
        for place, stage in enumerate(series.stages)
    ]
    return Part("series", pictures(shown), words("series_note"))


def flow_part(asked: Asked, view: View) -> Part:
    """Return who moved where between the two days."""
    words, names = asked.words, asked.stage_names()
    flow = view.census.flow(asked.scope, view.first, view.day)
    note = words("flow_note", first=flow.start, last=flow.end)
    figure = flow_chart(words, names, flow, moved_only=True)
    body = picture(figure, f"{words('flow')}: {note}", words("moved_only"))
    body += table(flow_rows(words, names, flow), words("flow"))
    return Part("flow", body, note, flow.as_data())
