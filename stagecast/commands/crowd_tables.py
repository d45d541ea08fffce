"""The tables of the command about the crowd."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.census import CensusSeries
    from serving.crowd.crowd_forecast import CrowdForecast, Outlook
    from serving.crowd.crowd_forecast_backtest import Coverage
    from serving.crowd.flow import Flow

__all__ = ["show_census", "show_coverage", "show_flow", "show_outlook"]

_MOST_DAYS: Final = 8


def show_census(terminal: Terminal, series: "CensusSeries") -> None:
    """Print the census on some days: the first, the last, and a few between."""
    n = len(series.days)
    shown = sorted({(n - 1) * i // (_MOST_DAYS - 1) for i in range(_MOST_DAYS)})
    terminal.table(
        "Pairs at each stage",
        ["day", *series.stages[1:], "all stages", "lapsed to none"],
        [
            (
                series.days[i],
                *(f"{pairs:,}" for pairs in series.counts[i, 1:].tolist()),
                f"{series.counts[i, 1:].sum():,}",
                f"{series.counts[i, 0]:,}",
            )
            for i in shown
        ],
    )
    terminal.say("")


def show_flow(terminal: Terminal, flow: "Flow") -> None:
    """Print what became of the pairs of each stage, and from where to where they went."""
    terminal.table(
        f"What became of them, from {flow.start} to {flow.end}",
        ["from", "pairs", "stayed", "moved on by one", "jumped", "lapsed", "forgotten"],
        [
            (row["stage"], *(_pairs(row[name]) for name in _WAYS))
            for row in flow.rows()
            if row["stage"] != "new"
        ],
    )
    terminal.say("")
    terminal.table(
        f"From where (rows) to where (columns), {(flow.end - flow.start).days} days later",
        ["", *flow.stages],
        [
            *((row["stage"], *(_pairs(n) for n in row["to"].values())) for row in flow.rows()),
            ("together", *(f"{n:,}" for n in flow.at_end.tolist())),
        ],
    )
    terminal.say("")


_WAYS: Final = ("start", "stayed", "moved_on", "jumped", "lapsed", "forgotten")


def _pairs(n: int) -> str:
    return f"{n:,}" if n else ""


def show_outlook(terminal: Terminal, outlook: "Outlook", forecast: "CrowdForecast") -> None:
    """Print what is expected by the end of a horizon."""
    data = outlook.as_data()["rows"]
    terminal.table(
        f"Expected within {outlook.x} days of {forecast.day}, by release {forecast.release}",
        ["", "expected", "80 % interval", "of pairs known", "of new pairs"],
        [
            (
                _title(row["what"], outlook.x),
                f"{row['expected']:,.0f}",
                f"{row['interval'][0]:,.0f} to {row['interval'][1]:,.0f}",
                f"{row['of_known_pairs']:,.0f}",
                f"{row['of_new_pairs']:,.0f}",
            )
            for row in data
        ],
    )
    terminal.say("")


def _title(what: str, x: int) -> str:
    if what == "buyers":
        return "pairs that buy"
    if what == "sales":
        return "sales (value)"
    return f"pairs at {what} after {x} days"


def show_coverage(terminal: Terminal, rows: "Sequence[Coverage]") -> None:
    """Print how often intervals held what came, and how far off sums were."""
    terminal.table(
        "",
        [
            "within",
            "sums",
            "what",
            "how many",
            "held",
            "expected over came",
            "off",
            "last period off",
        ],
        [
            (
                f"{row.days} days",
                f"by {row.level}" if row.level != "all" else "of all",
                row.what,
                f"{row.sums:,}",
                f"{row.covered:.0%}",
                f"{row.expected / row.came:.3f}" if row.came else "",
                f"{row.off:,.1f}",
                f"{row.last_off:,.1f}",
            )
            for row in rows
            if row.sums
        ],
        left=3,
    )
