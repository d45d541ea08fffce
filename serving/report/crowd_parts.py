"""Where pairs stand, day by day, and who moved where."""

from dataclasses import dataclass
from datetime import date

from serving.crowd.census import Census, CensusSeries
from serving.crowd.flow import Flow
from serving.report.asked import Asked
from serving.report.markup import picture, pictures, table
from serving.report.part import Part
from serving.views.crowd_charts import flow_chart, series_chart
from serving.views.stage_colours import stage_colours
from serving.views.tiles import Tile, tiles_markup

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
    words, names, series = asked.words, asked.stage_names(), view.series(asked)
    colours, days = stage_colours(series.stages), len(series.days) - 1
    shown = []
    for place, stage in enumerate(series.stages):
        before, now = int(series.counts[0, place]), int(series.counts[-1, place])
        note = words("since", change=f"{now - before:+,}", x=days)
        label, colour = names[stage], colours[stage]
        shown.append(Tile(f"census_{stage}", label, now, f"{now:,}", words("pairs"), note, colour))
    note = words("stages_now_note", day=view.first)
    return Part("stages_now", tiles_markup(shown), note, series.as_data())


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
    figure = flow_chart(
        flow,
        names,
        stage_colours(flow.stages),
        words("new_pairs"),
        words("forgotten"),
        moved_only=True,
    )
    body = picture(figure, f"{words('flow')}: {note}", words("moved_only"))
    return Part("flow", body + table(_rows(asked, flow), words("flow")), note, flow.as_data())


def _rows(asked: Asked, flow: Flow) -> dict[str, list[str]]:
    """Return the pairs by where they stood (rows) and where they stand (columns)."""
    words, names = asked.words, asked.stage_names()
    stages = [names[stage] for stage in flow.stages]
    rows = {"": [words("new_pairs"), *stages]}
    for place, name in enumerate([words("forgotten"), *stages]):
        # The blank does not break: an arrow alone in a line says nothing.
        rows[f"→\u00a0{name}"] = [f"{int(n):,}" for n in flow.counts[:, place]]
    return rows
