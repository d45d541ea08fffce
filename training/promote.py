"""Promotion: the gate that a run passes before its release answers."""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from features.errors import TrainingError
from models.release import champions, load_release, publish_release, set_champion, uncrown
from training.track import Tracking

__all__ = ["Gate", "Promotion", "gate", "promote", "roll_back"]

_CALIBRATED: Final = (0.9, 1.1)


@dataclass(frozen=True)
class Gate:
    """What was asked of a run: one line a question, and whether each is passed."""

    lines: tuple[tuple[str, str, bool], ...]
    warnings: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every question was passed."""
        return all(good for _, _, good in self.lines)


@dataclass(frozen=True)
class Promotion:
    """What became of a run."""

    run: str
    release: str
    gate: Gate
    promoted: bool


def gate(evaluation: Mapping[str, Any]) -> Gate:
    """Ask whether a run is, beyond doubt, badly calibrated or worse than the base rate.

    Only an interval that lies wholly on the wrong side refuses; too little data passes, and is
    said.
    """
    lines: list[tuple[str, str, bool]] = []
    warnings: list[str] = []
    for x, rows in evaluation["horizons"].items():
        low, high = rows["calibration_interval"]
        judged = low is not None and high is not None
        if not judged:
            warnings.append(f"{x} days: too few buyers to judge the calibration")
        else:
            good = not (high < _CALIBRATED[0] or low > _CALIBRATED[1])
            lines.append(
                (
                    f"predicted over observed, {x} days",
                    f"{low:.3f} to {high:.3f}, to meet {_CALIBRATED[0]} to {_CALIBRATED[1]}",
                    good,
                )
            )
        low, high = rows.get("brier_over_base_rate", (None, None))
        # Where nobody buys, 0 beats one in a million: that is no reason to refuse.
        if low is None or high is None or not judged:
            warnings.append(f"{x} days: too little to compare with the base rate")
        else:
            lines.append(
                (
                    f"Brier score less the base rate's, {x} days",
                    f"{low:+.5f} to {high:+.5f}, to reach below 0",
                    low <= 0,
                )
            )
    if not evaluation["horizons"]:
        warnings.append("the log was too short to test the run on days that it had not seen")
    return Gate(tuple(lines), tuple(warnings))


def promote(tracking: Tracking, releases: Path, run: str, force: str | None = None) -> Promotion:
    """Publish a run's release as the champion, if it passes its gate.

    Parameters
    ----------
    run : a run's id or name.
    force : who insists, and why; written into the registry.
    """
    run_id = tracking.find_run(run)
    if run_id is None:
        raise TrainingError(
            f"No run {run!r} is tracked at {tracking.uri.split('@')[-1]}; "
            "`stagecast train` prints the run's id."
        )
    with tempfile.TemporaryDirectory(prefix="stagecast-") as scratch:
        folder = tracking.release_folder(run_id, Path(scratch))
        release = load_release(folder)
        asked = gate(release.facts["evaluation"])
        if not asked.passed and force is None:
            return Promotion(run_id, release.name, asked, False)
        publish_release(folder, releases)
    tags = {"gate": "passed"} if asked.passed else {"gate": "forced", "forced_by": force or ""}
    tracking.crown(run_id, tags)
    set_champion(releases, release.name)
    return Promotion(run_id, release.name, asked, True)


def roll_back(tracking: Tracking, releases: Path) -> tuple[str, str]:
    """Let the former champion answer again; return its name, and whose place it takes."""
    instead_of = champions(releases)[-1:]
    name = uncrown(releases)
    tracking.crown(load_release(releases / name).facts["run"], {})
    return name, instead_of[0]
