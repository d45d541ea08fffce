"""The words of a report: what came of the forecasts, in sentences, and what its terms mean."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from training.baselines import BASELINES
from training.gate import IN_ALL
from training.judged import MODEL
from training.markup import between, number
from training.report_tables import share, sorted_days

__all__ = ["GLOSSARY", "key_figures", "main_horizon", "summary", "warning"]

Evaluation = Mapping[str, Any]

_USUAL: Final = 30
_BOUGHT: Final = {"pairs": "bought", "moments": "led to a purchase"}

GLOSSARY: Final = (
    ("foretold / came", "Expected buyers over buyers (Σp / Σy). 1 is right; above 1 promises too "
     "much."),
    ("AUC", "How often a buyer's forecast is higher than another's: 0.5 is guessing, 1 is perfect "
     "order."),
    ("AP", "Average precision: the mean share of buyers among the highest forecasts, down the "
     "list. Without skill it is the share of buyers."),
    ("log loss, Brier", "How far forecasts lie from what happened, order and level together; lower "
     "is better."),
    ("calibration error", "The mean distance of forecast and outcome, in ten groups by forecast."),
    ("lift 5 %", "How many times more buyers are in the highest 5 % than in a random 5 %."),
    ("95 % interval", "Where the number would lie if other users had come: users drawn again and "
     "again, each with all that is theirs."),
    ("base rate", "The share of buyers among moments at the same stage: what one knows without a "
     "model."),
    ("recency-frequency", "A logistic regression on a few counts and days since: what a plain "
     "model knows."),
    ("cell", "A brand at a stage, or a wider group: its category at the stage, the stage, all."),
    ("within x days", "From the moment on, a day being 24 hours. A horizon that the log does not "
     "cover is left out: not yet is not no."),
)  # fmt: skip


def main_horizon(evaluation: Evaluation) -> str:
    """Return the horizon that the page speaks of first: that nearest to 30 days with buyers."""
    days = sorted_days(evaluation["horizons"])
    bought = [x for x in days if evaluation["horizons"][x][MODEL]["buyers"]]
    return min(bought or days, key=lambda x: abs(int(x) - _USUAL))


def warning(evaluation: Evaluation) -> str:
    """Return where a baseline wins, in capitals; nothing where none does."""
    losses = "; ".join(evaluation["losses"])
    return f"A baseline has the lower Brier score: {losses}.".upper() if losses else ""


def summary(evaluation: Evaluation, noun: str, since: str) -> str:
    """Return a paragraph on what was foretold and what came."""
    x = main_horizon(evaluation)
    return " ".join(
        (
            *_level(evaluation, x, noun, since),
            *_order(evaluation["horizons"][x][MODEL]),
            *_others(evaluation, x),
            *_spent(evaluation["horizons"][x]["value"], expected_buyers(evaluation, x) is not None),
            *_beside(evaluation["horizons"][x], x),
        )
    )


def _level(evaluation: Evaluation, x: str, noun: str, since: str) -> Iterator[str]:
    found = evaluation["horizons"][x]
    scores, ends = found[MODEL], found["calibration_interval"]
    n, buyers, ratio = scores["n"], scores["buyers"], scores["predicted_over_observed"]
    came = f"{buyers:,.0f} of {n:,.0f} {noun} {_BOUGHT[noun]} within {x} days of {since}"
    if not buyers:
        yield f"None of {n:,.0f} {noun} {_BOUGHT[noun]} within {x} days of {since}."
        return
    times = f"{number(ratio, '.2f')} times as many; 95 % interval {between(ends, '.2f')}"
    expected = expected_buyers(evaluation, x)
    if expected is None:
        yield f"In all {came} ({share(buyers, n)})."
        yield f"Each counted for those that it stands for, there were foretold {times}."
    else:
        yield f"In all {came} ({share(buyers, n)}); {expected:,.0f} were foretold ({times})."
    yield from _verdict(ends)


def expected_buyers(evaluation: Evaluation, x: str) -> float | None:
    """Return how many were foretold; None where moments have weights, and counts mean little."""
    for cell in evaluation["cells"]:
        if cell["level"] == "all" and str(cell["horizon"]) == x:
            counted = evaluation["horizons"][x][MODEL]["buyers"]
            return float(cell["expected"]) if abs(cell["observed"] - counted) < 0.5 else None
    return None


def _verdict(ends: Sequence[float | None]) -> Iterator[str]:
    low, high = ends
    if low is not None and low > IN_ALL[1]:
        yield "That promises too much."
    elif high is not None and high < IN_ALL[0]:
        yield "That promises too little."
    elif low is not None and high is not None and low >= IN_ALL[0] and high <= IN_ALL[1]:
        yield "The level is right, within a tenth."


def _order(scores: Mapping[str, Any]) -> Iterator[str]:
    if scores["lift_10pct"] is not None:
        yield (
            "The tenth with the highest forecasts holds "
            f"{number(10 * scores['lift_10pct'], '.0f')} % of the buyers, "
            f"{number(scores['lift_10pct'], '.1f')} times as many as chance would put there."
        )


def _others(evaluation: Evaluation, x: str) -> Iterator[str]:
    ratios = [
        f"{number(evaluation['horizons'][day][MODEL]['predicted_over_observed'], '.2f')} at {day}"
        for day in sorted_days(evaluation["horizons"])
        if day != x and evaluation["horizons"][day][MODEL]["buyers"]
    ]
    if ratios:
        yield f"At other horizons, foretold over came is {', '.join(ratios)} days."


def _spent(value: Mapping[str, Any], counted: bool) -> Iterator[str]:
    if not value or value["predicted_over_observed"] is None:
        return
    times = number(value["predicted_over_observed"], ".2f")
    if not counted:
        yield f"The value foretold is {times} times what was spent."
    else:
        yield (
            f"Purchases were worth {number(value['spent'], ',.0f')} in the log's currency, and "
            f"{number(value['expected'], ',.0f')} was foretold ({times} times as much)."
        )


def _beside(found: Mapping[str, Any], x: str) -> Iterator[str]:
    """Say how many baselines the model beats at the horizon, and which not."""
    names = [name for name in BASELINES if name in found]
    lost = [BASELINES[n] for n in names if found[n]["brier"] < found[MODEL]["brier"]]
    if names and not lost:
        yield f"At {x} days Stagecast has a lower Brier score than all {len(names)} baselines."
    elif names:
        yield (
            f"At {x} days Stagecast has a lower Brier score than {len(names) - len(lost)} of "
            f"{len(names)} baselines, but not than {', '.join(lost)}."
        )


def key_figures(evaluation: Evaluation, noun: str) -> Iterator[tuple[str, str, str]]:
    """Return the figures that one sees first: what each is, itself, and what to know of it."""
    x = main_horizon(evaluation)
    found = evaluation["horizons"][x]
    scores, value = found[MODEL], found["value"]
    ends = between(found["calibration_interval"], ".2f")
    if not scores["buyers"]:
        return
    yield (
        "Buyers foretold / came",
        number(scores["predicted_over_observed"], ".2f"),
        f"within {x} days; 1 is right; 95 % interval {ends}",
    )
    if scores["lift_10pct"] is not None:
        yield (
            "Buyers in the top tenth",
            f"{number(10 * scores['lift_10pct'], '.0f')} %",
            f"of the buyers within {x} days, in 10 % of the {noun}",
        )
    if scores["auc"] is not None:
        base = found.get("base_rate", {}).get("auc")
        beside = "" if base is None else f"; base rate {number(base, '.3f')}"
        more = f"within {x} days; 1 is perfect{beside}"
        yield "Order (AUC)", number(scores["auc"], ".3f"), more
    if value and value["predicted_over_observed"] is not None:
        yield (
            "Value foretold / spent",
            number(value["predicted_over_observed"], ".2f"),
            f"within {x} days; 1 is right; 95 % interval {between(value['interval'], '.2f')}",
        )
