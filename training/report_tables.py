"""The tables of a report: scores, slices and cells, each beside its base rate or a baseline."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from training.baselines import BASELINES
from training.gate import IN_A_CELL
from training.judged import MODEL
from training.markup import NOTHING, Best, Group, Wrong, between, number, table

__all__ = [
    "FEWEST_EXPECTED",
    "brier_over_table",
    "cells_table",
    "importance_table",
    "intervals_table",
    "next_stage_table",
    "scores_table",
    "slice_table",
    "sorted_days",
    "value_table",
    "worst_cells",
]

Evaluation = Mapping[str, Any]

FEWEST_EXPECTED: Final = 20
MOST_CELLS: Final = 15
MOST_FEATURES: Final = 10
MOST_SLICES: Final = 8
"""With more slices, a table shows one horizon."""

_NAMES: Final = {MODEL: "Stagecast", **BASELINES}


def _apart(ratio: float) -> float:
    return abs(math.log(ratio)) if ratio > 0 else math.inf


def _negative(score: float) -> float:
    return -score


def _itself(score: float) -> float:
    return score


# Name, form, and what is least where the score is best.
_SCORES: Final[Mapping[str, tuple[str, str, Callable[[float], float]]]] = {
    "auc": ("AUC", ".3f", _negative),
    "average_precision": ("AP", ".3f", _negative),
    "log_loss": ("log loss", ".4f", _itself),
    "brier": ("Brier", ".4f", _itself),
    "predicted_over_observed": ("foretold / came", ".3f", _apart),
    "expected_calibration_error": ("calibration error", ".4f", _itself),
    "lift_1pct": ("lift 1 %", ".2f", _negative),
    "lift_5pct": ("lift 5 %", ".2f", _negative),
    "lift_10pct": ("lift 10 %", ".2f", _negative),
}
_INTERVALS: Final = {
    "auc": ("AUC", ".3f"),
    "average_precision": ("AP", ".3f"),
    "log_loss": ("log loss", ".4f"),
    "brier": ("Brier", ".4f"),
}


def sorted_days(horizons: Mapping[str, Any]) -> list[str]:
    """Return the horizons, from short to long."""
    return sorted(horizons, key=int)


def share(part: float, whole: float) -> str:
    """Return a part of a whole in percent, or a dash where there is no whole."""
    return f"{number(100 * part / whole, '.1f')} %" if whole else NOTHING


def scores_table(evaluation: Evaluation, subject: str, noun: str) -> str:
    """Return the scores by horizon and forecast; the best of each column in bold."""
    groups = []
    for x in sorted_days(evaluation["horizons"]):
        found = evaluation["horizons"][x]
        models = [name for name in _NAMES if name in found]
        columns = [_column([found[name].get(score) for name in models], score) for score in _SCORES]
        rows = [[_NAMES[name], *cells] for name, *cells in zip(models, *columns, strict=True)]
        groups.append(Group(_horizon_heading(x, found[MODEL], noun), rows))
    caption = f"Purchase within x days; {subject}. Bold: the best of its horizon."
    return table(caption, ["forecast by", *(called for called, _, _ in _SCORES.values())], groups)


def _horizon_heading(x: str, scores: Mapping[str, Any], noun: str) -> str:
    n, buyers = scores["n"], scores["buyers"]
    return f"within {x} days: {buyers:,.0f} buyers of {n:,.0f} {noun}, {share(buyers, n)}"


def _column(values: Sequence[float | None], score: str) -> list[str]:
    """Return the numbers of a column; those that read like the best one are as good as it."""
    _, form, badness = _SCORES[score]
    shown = [number(value, form) for value in values]
    known = [(badness(value), place) for place, value in enumerate(values) if value is not None]
    best = shown[min(known)[1]] if known else None
    return [Best(cell) if cell == best else cell for cell in shown]


def intervals_table(evaluation: Evaluation, subject: str) -> str:
    """Return Stagecast's scores, each with its 95 % interval."""
    rows = []
    for x in sorted_days(evaluation["horizons"]):
        found = evaluation["horizons"][x]
        cells = [
            _with_interval(found[MODEL][score], found["intervals"][score], form)
            for score, (_, form) in _INTERVALS.items()
        ]
        ratio = found[MODEL]["predicted_over_observed"]
        rows.append([f"{x} days", *cells, _with_interval(ratio, found["calibration_interval"])])
    caption = f"Stagecast's scores with their 95 % intervals, by user; {subject}."
    head = ["within", *(called for called, _ in _INTERVALS.values()), "foretold / came"]
    return table(caption, head, [Group("", rows)])


def _with_interval(value: float | None, ends: Sequence[float | None], form: str = ".3f") -> str:
    return NOTHING if value is None else f"{number(value, form)} ({between(ends, form)})"


def brier_over_table(evaluation: Evaluation, subject: str) -> str:
    """Return the interval of Stagecast's Brier score less each baseline's, and over all days."""
    found = evaluation["horizons"]
    days = sorted_days(found)
    names = [name for name in BASELINES if any(name in found[x]["brier_over"] for x in days)]
    rows = [[f"{x} days", *(_over(found[x]["brier_over"].get(n)) for n in names)] for x in days]
    whole = evaluation["integrated_brier_over"]
    if whole:
        span = f"{days[0]} to {days[-1]} days (integrated)"
        rows.append([span, *(_over(whole.get(name)) for name in names)])
    caption = (
        "Stagecast's Brier score less the baseline's, 95 % interval by user: below 0 Stagecast is "
        f"better. Bold: beyond doubt; red: worse, beyond doubt. {subject}."
    )
    return table(caption, ["within", *(BASELINES[name] for name in names)], [Group("", rows)])


def _over(ends: Sequence[float | None] | None) -> str:
    if ends is None:
        return NOTHING
    low, high = ends
    words = between(ends, ".5f")
    if low is not None and low > 0:
        return Wrong(words)
    return Best(words) if high is not None and high < 0 else words


def slice_table(
    name: str, rows: Mapping[str, Mapping[str, Any]], main: str, subject: str, noun: str
) -> str:
    """Return the scores of slices; the base rate's own beside them."""
    few = len(rows) <= MOST_SLICES
    groups = []
    for called, by_horizon in rows.items():
        days = [x for x in sorted_days(by_horizon) if few or x == main]
        groups.append(Group(called, [[f"{x} days", *_slice_row(by_horizon[x])] for x in days]))
    if not few:
        groups = [Group("", [[g.heading, *g.rows[0][1:]] for g in groups if g.rows])]
    when = "within x days" if few else f"within {main} days"
    head = [
        "within" if few else name,
        noun,
        "buyers",
        "share that bought",
        "foretold / came (95 % interval)",
        "AUC",
        "log loss",
        "base rate's",
        "Brier",
        "base rate's",
    ]
    return table(f"Purchase {when}, by {name}; {subject}.", head, groups)


def _slice_row(found: Mapping[str, Any]) -> list[str]:
    row = [
        number(found["n"], ",.0f"),
        number(found["buyers"], ",.0f"),
        share(found["buyers"], found["n"]),
        _with_interval(found["predicted_over_observed"], found["interval"], ".2f"),
        number(found["auc"], ".3f"),
    ]
    for score in ("log_loss", "brier"):
        pair = [found[score], found.get(f"base_rate_{score}")]
        row += _column(pair, score)
    return row


def value_table(evaluation: Evaluation, subject: str) -> str:
    """Return what was foretold to be spent, and what was."""
    rows = []
    for x in sorted_days(evaluation["horizons"]):
        value = evaluation["horizons"][x]["value"]
        if value:
            ratio = _with_interval(value["predicted_over_observed"], value["interval"], ".3f")
            amounts = [number(value[name], ",.0f") for name in ("expected", "spent")]
            rows.append([f"{x} days", *amounts, ratio])
    caption = f"Value of all purchases within x days, in the log's currency; {subject}."
    head = ["within", "foretold", "spent", "foretold / spent (95 % interval)"]
    return table(caption, head, [Group("", rows)])


def next_stage_table(evaluation: Evaluation, subject: str, noun: str) -> str:
    """Return the log loss of the next stage beside that of the plain table by stage."""
    rows = []
    for x in sorted_days(evaluation["horizons"]):
        found = evaluation["horizons"][x]["next_stage"]
        if found:
            losses = _column([found["log_loss"], found["log_loss_of_table"]], "log_loss")
            rows.append([f"{x} days", number(found["n"], ",.0f"), *losses])
    caption = f"Log loss of the first change of stage within x days; {subject}, those followed."
    head = ["within", noun, "Stagecast", "what usually becomes of the stage"]
    return table(caption, head, [Group("", rows)])


def worst_cells(cells: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return each large cell at its worst horizon, the worst first."""
    worst: dict[tuple[str, str], Mapping[str, Any]] = {}
    for cell in cells:
        key = (cell["level"], cell["cell"])
        if cell["expected"] >= FEWEST_EXPECTED and (
            key not in worst or _off(cell) > _off(worst[key])
        ):
            worst[key] = cell
    return sorted(worst.values(), key=lambda cell: (-_off(cell), -cell["expected"], cell["cell"]))


def _off(cell: Mapping[str, Any]) -> float:
    return _apart(cell["predicted_over_observed"] or 0.0)


def cells_table(cells: Sequence[Mapping[str, Any]], subject: str, noun: str) -> str:
    """Return the worst cells; red where the interval lies wholly outside 0.8 to 1.25."""
    rows = [_cell_row(cell) for cell in cells[:MOST_CELLS]]
    caption = (
        f"The worst calibrated cells with {FEWEST_EXPECTED} expected buyers or more, each at its "
        f"worst horizon. Red: the interval lies wholly outside {IN_A_CELL[0]:g} to "
        f"{IN_A_CELL[1]:g}. {subject}."
    )
    head = ["cell", "within", noun, "foretold", "came", "foretold / came", "95 % interval"]
    return table(caption, head, [Group("", rows)])


def _cell_row(cell: Mapping[str, Any]) -> list[str]:
    ratio, (low, high) = cell["predicted_over_observed"], cell["interval"]
    shown = number(ratio, ".2f") if ratio else "nobody bought"
    outside = ratio is None or (low or 0.0) > IN_A_CELL[1] or (high or math.inf) < IN_A_CELL[0]
    return [
        cell["cell"],
        f"{cell['horizon']} days",
        number(cell["n"], ",.0f"),
        number(cell["expected"], ",.1f"),
        number(cell["observed"], ",.0f"),
        Wrong(shown) if outside else shown,
        between(cell["interval"], ".2f"),
    ]


def importance_table(features: Mapping[str, float]) -> str:
    """Return the features that bring most of the purchase model's gain."""
    order = sorted(features, key=lambda name: (-features[name], name))[:MOST_FEATURES]
    rows = [[name, f"{number(100 * features[name], '.1f')} %"] for name in order]
    caption = f"The {len(rows)} features that bring most of the purchase model's gain."
    return table(caption, ["feature", "share of the gain"], [Group("", rows)])
