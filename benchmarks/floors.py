"""The main job on the Complete Journey: quality beside its floors, time and memory.

``python -m benchmarks.floors`` writes its part of docs/benchmarks.md.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from benchmarks._commands import Steps
from benchmarks._page import table, write_part
from training.baselines import BASELINES

__all__ = ["main"]

_AS_OF: Final = "2017-10-01"
_SCORES: Final = (
    ("AUC", "auc"),
    ("AP", "average_precision"),
    ("log loss", "log_loss"),
    ("Brier", "brier"),
    ("Σp / Σy", "predicted_over_observed"),
    ("ECE", "expected_calibration_error"),
)
_FLOORS: Final[Mapping[str, Mapping[int, tuple[str, ...]]]] = {
    "manufacturer": {
        7: ("≥ .839", "≥ .356", "≤ .1475", "", ".97 to 1.03", "≤ .004"),
        14: ("≥ .831", "≥ .444", "≤ .2172", "", ".97 to 1.03", "≤ .004"),
        30: ("≥ .827", "≥ .547", "≤ .3084", "", ".97 to 1.03", "≤ .004"),
        60: ("≥ .818", "≥ .633", "≤ .3988", "", ".97 to 1.03", "≤ .004"),
    },
    "category": {30: ("≥ .80", "≥ .625", "≤ .440", "", ".95 to 1.05", "")},
}
"""What prototypes of this forecast reached; a floor is met within half of the interval's half."""


def section(scratch: Path, brand: str) -> list[str]:
    """Return the lines on one way to name brands."""
    folder, steps = scratch / brand, Steps()
    config = str(folder / "stagecast.toml")
    steps.run(
        "import {events:,} events",
        *("import", "complete-journey", "--out", str(folder), "--brand", brand),
    )
    steps.train(folder, _AS_OF)
    steps.run("score {pairs:,} pairs", "score", config, "--as-of", _AS_OF)
    found = steps.run(
        "evaluate {pairs:,} pairs",
        *("evaluate", config, "--as-of", _AS_OF, "--pairs", str(folder / "pairs.parquet")),
    )
    horizons = found["evaluation"]["horizons"]
    head = ("x, days", "forecast by", *(name for name, _ in _SCORES))
    rows = [row for x in horizons for row in _rows(int(x), horizons[x], _FLOORS[brand])]
    return [
        f"Household x {brand}, as of {_AS_OF}: {found['pairs']:,} pairs that had bought before.",
        "",
        *table(head, rows),
        *table(
            ("x, days", "next stage, log loss", "of its table", "expected over spent", "95 %"),
            [[x, *_stages_and_amounts(horizons[x])] for x in horizons],
        ),
        *steps.table(),
    ]


def _rows(
    x: int, scores: Mapping[str, Any], floors: Mapping[int, tuple[str, ...]]
) -> Iterator[list[str]]:
    yield [str(x), "Stagecast", *(_cell(scores["model"], key) for _, key in _SCORES)]
    intervals = {**scores["intervals"], "predicted_over_observed": scores["calibration_interval"]}
    yield ["", "95 %, by household", *(_interval(intervals.get(key)) for _, key in _SCORES)]
    if x in floors:
        yield ["", "floor", *floors[x]]
    for key, name in BASELINES.items():
        if key in scores:
            yield ["", name, *(_cell(scores[key], score) for _, score in _SCORES)]


def _cell(scores: Mapping[str, float], key: str) -> str:
    return f"{scores[key]:.3f}" if key == "predicted_over_observed" else f"{scores[key]:.4f}"


def _interval(ends: tuple[float, float] | None) -> str:
    return f"{ends[0]:.4f} to {ends[1]:.4f}" if ends else ""


def _stages_and_amounts(scores: Mapping[str, Any]) -> list[str]:
    stage, value = scores["next_stage"], scores["value"]
    low, high = value["interval"]
    return [
        f"{stage['log_loss']:.4f}",
        f"{stage['log_loss_of_table']:.4f}",
        f"{value['predicted_over_observed']:.3f}",
        f"{low:.3f} to {high:.3f}",
    ]


def main() -> None:
    """Measure, and write the part of the page."""
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        part = [
            "## Complete Journey",
            "",
            "A floor is what prototypes reached on this log. It counts as met where a figure "
            "falls short of it by no more than half of its interval's half-width.",
            "",
            *section(Path(scratch), "manufacturer"),
            *section(Path(scratch), "category"),
        ]
    print(*part, sep="\n")
    write_part("floors", part)


if __name__ == "__main__":
    main()
