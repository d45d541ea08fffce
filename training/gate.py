"""The gate: what a run is asked before its release may answer."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from training.compare import Comparison

__all__ = ["Gate", "Question", "gate"]

IN_ALL: Final = (0.9, 1.1)
IN_A_CELL: Final = (0.8, 1.25)
EXPECTED_IN_A_CELL: Final = 200.0
"""A cell is judged where it expects so many purchases."""


@dataclass(frozen=True)
class Question:
    """One question, its answer, and whether it is passed."""

    text: str
    answer: str
    passed: bool


@dataclass(frozen=True)
class Gate:
    """What was asked of a run, and what could not be judged."""

    questions: tuple[Question, ...]
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every question was passed."""
        return all(question.passed for question in self.questions)


def gate(evaluation: Mapping[str, Any], comparison: Comparison | None = None) -> Gate:
    """Ask whether a run is, beyond doubt, badly calibrated, or worse than what is there.

    Only a 95 % interval that lies wholly on the wrong side refuses. Too little data passes, and
    is said. Without a champion (`comparison` is None) only calibration and the base rate are
    asked.
    """
    asked = [
        *_of_calibration(evaluation),
        *_of_cells(evaluation),
        *_of_base_rate(evaluation),
        *_of_champion(comparison),
    ]
    warnings = [found for found in asked if isinstance(found, str)]
    if not evaluation["horizons"]:
        warnings.append("the log was too short to test the run on days that it had not seen")
    return Gate(tuple(q for q in asked if isinstance(q, Question)), tuple(warnings))


def _of_calibration(evaluation: Mapping[str, Any]) -> Iterator[Question | str]:
    for x, rows in evaluation["horizons"].items():
        low, high = rows["calibration_interval"]
        if low is None or high is None:
            yield f"{x} days: too few buyers to judge the calibration"
        else:
            yield Question(
                f"predicted over observed, {x} days",
                f"{low:.3f} to {high:.3f}, to meet {IN_ALL[0]} to {IN_ALL[1]}",
                not (high < IN_ALL[0] or low > IN_ALL[1]),
            )


def _of_cells(evaluation: Mapping[str, Any]) -> Iterator[Question]:
    judged = [
        cell
        for cell in evaluation["cells"]
        if cell["level"] != "all"
        and cell["expected"] >= EXPECTED_IN_A_CELL
        and None not in cell["interval"]
    ]
    if not judged:
        return
    wrong = [
        cell
        for cell in judged
        if cell["interval"][1] < IN_A_CELL[0] or cell["interval"][0] > IN_A_CELL[1]
    ]
    for cell in wrong:
        low, high = cell["interval"]
        yield Question(
            f"predicted over observed, {cell['cell']}, {cell['horizon']} days",
            f"{low:.3f} to {high:.3f}, to meet {IN_A_CELL[0]} to {IN_A_CELL[1]}",
            False,
        )
    yield Question(
        f"cells with {EXPECTED_IN_A_CELL:.0f} expected purchases or more",
        f"{len(judged) - len(wrong)} of {len(judged)} meet {IN_A_CELL[0]} to {IN_A_CELL[1]}",
        not wrong,
    )


def _of_base_rate(evaluation: Mapping[str, Any]) -> Iterator[Question | str]:
    for x, rows in evaluation["horizons"].items():
        low, high = rows["brier_over"].get("base_rate", (None, None))
        # Where nobody buys, 0 beats one in a million: that is no reason to refuse.
        if low is None or high is None or None in rows["calibration_interval"]:
            yield f"{x} days: too little to compare with the base rate"
        else:
            yield Question(
                f"Brier score less the base rate's, {x} days",
                f"{low:+.5f} to {high:+.5f}, to reach below 0",
                low <= 0,
            )


def _of_champion(comparison: Comparison | None) -> Iterator[Question | str]:
    if comparison is None:
        return
    low, high = comparison.apart
    if not comparison.judged or low is None or high is None:
        yield (
            f"too little to compare with the champion {comparison.a}: {comparison.moments:,} "
            f"moments and {comparison.buyers:,} buyers in common"
        )
        return
    days = ", ".join(comparison.horizons)
    yield Question(
        f"integrated Brier score less that of {comparison.a}, {days} days",
        f"{low:+.5f} to {high:+.5f}, to reach below 0",
        not comparison.b_is_worse,
    )
