"""Tiles and tables of the crowd: the census, the flow between stages, and what is expected."""

from collections.abc import Mapping
from datetime import date, timedelta

from serving.crowd.census import CensusSeries
from serving.crowd.crowd_forecast import BUYERS, SALES, Outlook
from serving.crowd.flow import Flow
from serving.views.stage_colours import stage_colours
from serving.views.tiles import Tile
from serving.views.words import Words

__all__ = ["census_tiles", "expected_tiles", "flow_rows", "today_rows"]


def census_tiles(words: Words, names: Mapping[str, str], series: CensusSeries) -> list[Tile]:
    """Return the pairs at each stage on the last day, and how that changed since the first."""
    colours, days, tiles = stage_colours(series.stages), len(series.days) - 1, []
    for stage, counts in zip(series.stages, series.counts.T.tolist(), strict=True):
        before, now = counts[0], counts[-1]
        note = words("since", change=f"{now - before:+,}", x=days)
        label, colour = names[stage], colours[stage]
        tiles.append(Tile(f"census_{stage}", label, now, f"{now:,}", words("pairs"), note, colour))
    return tiles


def flow_rows(words: Words, names: Mapping[str, str], flow: Flow) -> dict[str, list[str]]:
    """Return the pairs by where they stood (rows) and where they stand (columns)."""
    stages = [names[stage] for stage in flow.stages]
    rows = {"": [words("new_pairs"), *stages]}
    for place, name in enumerate([words("forgotten"), *stages]):
        # The blank does not break: an arrow alone in a line says nothing.
        rows[f"→\u00a0{name}"] = [f"{int(n):,}" for n in flow.counts[:, place]]
    return rows


def expected_tiles(words: Words, outlook: Outlook, day: date) -> list[Tile]:
    """Return the buyers from a day on, and the sales where the log has amounts."""
    until, tiles = day + timedelta(days=outlook.x), []
    for name, unit in ((BUYERS, "pairs"), (SALES, "money")):
        if name not in outlook.what:
            continue
        at = outlook.what.index(name)
        expected = float(outlook.known[at] + outlook.new[at])
        ends = words("interval", low=f"{outlook.low[at]:,.0f}", high=f"{outlook.high[at]:,.0f}")
        note = f"{ends} · {words('until', first=day, last=until)}"
        tiles.append(
            Tile(f"expected_{name}", words(name), expected, f"{expected:,.0f}", words(unit), note)
        )
    return tiles


def today_rows(
    words: Words, names: Mapping[str, str], outlook: Outlook, now: Mapping[str, int]
) -> dict[str, list[str]]:
    """Return what an outlook is of, and the pairs that stand there now: columns to be added to."""
    known = {**names, BUYERS: words("buyers"), SALES: words("sales")}
    return {
        "": [known[name] for name in outlook.what],
        words("today"): [f"{now[name]:,}" if name in now else "" for name in outlook.what],
    }
