"""The report of an evaluation: one page that a browser opens anywhere and a printer prints."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from matplotlib.figure import Figure

from features.instants import datetime_of
from models.release import Release
from training.figures import figures_of
from training.markup import definitions, paragraph, picture, section, text
from training.report_tables import (
    brier_over_table,
    cells_table,
    importance_table,
    intervals_table,
    next_stage_table,
    scores_table,
    slice_table,
    sorted_days,
    value_table,
    worst_cells,
)
from training.report_template import page
from training.report_words import GLOSSARY, key_figures, main_horizon, summary, warning

__all__ = ["METHODS", "About", "report_page"]

METHODS: Final[Mapping[str, str]] = {
    "rates": "the rate of each stage",
    "logistic": "a logistic regression on ten features",
    "blend": "boosted trees, blended with a logistic regression on ten features",
    "trees": "boosted trees",
}
"""How purchases are foretold, in words."""

_SLICES: Final = {
    "stage": "stage at the moment",
    "month": "month of the moment",
    "moment": "what came just before the moment",
    "user": "how long the user is known",
    "brand": "how long the brand is known",
}

Part = tuple[str, str, str]


@dataclass(frozen=True)
class About:
    """What was asked, and of which release.

    Attributes
    ----------
    asked : the question, a sentence or two.
    subject : what was judged, like "240,257 pairs as of 2017-10-01".
    noun : "pairs" or "moments".
    since : from when horizons are counted, like "2017-10-01".
    learnt_until : the day before whose events the release learnt.
    facts : `release.facts`.
    """

    release: str
    asked: str
    subject: str
    noun: str
    since: str
    learnt_until: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_pairs(cls, release: Release, as_of: int, pairs: int, file: str | None) -> Self:
        """Return what `evaluate` asks: pairs as of a day (microseconds), all or those of a file."""
        day, learnt = (_day(instant, release.time_zone) for instant in (as_of, release.as_of))
        chosen = f"the pairs of {file}" if file else "all with an event in the 365 days before"
        asked = (
            f"What did release {release.name}, which had learnt from the events before {learnt}, "
            f"foretell on {day} ({release.time_zone}), and what then happened? Asked were "
            f"{pairs:,} pairs of a user and a brand: {chosen}."
        )
        return cls(
            release.name, asked, f"{pairs:,} pairs as of {day}", "pairs", day, learnt, release.facts
        )

    @classmethod
    def of_moments(cls, release: Release, moments: int, days: int) -> Self:
        """Return what `train` asks of its twin: moments drawn from the last `days`."""
        learnt = _day(release.as_of, release.time_zone)
        asked = (
            f"How good is what release {release.name} foretells? A twin of its model, which had "
            f"not seen the last {days} days before {learnt} ({release.time_zone}), was asked of "
            f"{moments:,} moments drawn from them: a user and a brand at an instant."
        )
        subject = f"{moments:,} moments of the {days} days before {learnt}"
        return cls(release.name, asked, subject, "moments", "the moment", learnt, release.facts)


def _day(instant: int, zone: str) -> str:
    local = datetime_of(instant).astimezone(ZoneInfo(zone))
    midnight = (local.hour, local.minute, local.second) == (0, 0, 0)
    return local.strftime("%Y-%m-%d" if midnight else "%Y-%m-%d %H:%M:%S")


def report_page(evaluation: Mapping[str, Any], about: About) -> str:
    """Return the page, in HTML: no script, and nothing that lies elsewhere.

    Parameters
    ----------
    evaluation : as `training.evaluation.evaluation_of` returns it
    """
    title = f"Forecasts of {about.release}, and what came"
    facts = [_made(about), _read()]
    if not evaluation["horizons"]:
        nothing = "The log is too short to test the model on days that it had not seen."
        return page(title, paragraph(about.asked, "asked") + paragraph(nothing, "summary"), facts)
    figures = figures_of(evaluation, about.facts.get("importance"), about.subject)
    parts = [
        _scores(evaluation, about),
        _intervals(evaluation, about),
        _pictures(evaluation, figures),
        _slices(evaluation, about),
        _value(evaluation, about),
        _next_stage(evaluation, about),
        _cells(evaluation, about),
        *facts,
    ]
    return page(title, _top(evaluation, about), parts)


def _top(evaluation: Mapping[str, Any], about: About) -> str:
    warned = warning(evaluation)
    tiles = "".join(
        f'<div><dt>{text(name)}</dt><dd class="value">{text(value)}</dd><dd>{text(more)}</dd></div>'
        for name, value, more in key_figures(evaluation, about.noun)
    )
    return "\n".join(
        (
            paragraph(about.asked, "asked"),
            paragraph(summary(evaluation, about.noun, about.since), "summary"),
            paragraph(warned, "warning") if warned else "",
            f'<dl class="tiles">{tiles}</dl>' if tiles else "",
        )
    )


def _scores(evaluation: Mapping[str, Any], about: About) -> Part:
    parts = [scores_table(evaluation, about.subject, about.noun)]
    if quiet := _without_buyers(evaluation):
        parts.append(paragraph(f"Nobody bought within {', '.join(quiet)} days.", "note"))
    return "scores", "Scores", section("scores", "Scores beside the baselines", parts)


def _without_buyers(evaluation: Mapping[str, Any]) -> list[str]:
    found = evaluation["horizons"]
    return [x for x in sorted_days(found) if not found[x]["model"]["buyers"]]


def _intervals(evaluation: Mapping[str, Any], about: About) -> Part:
    parts = [intervals_table(evaluation, about.subject)]
    if any(found["brier_over"] for found in evaluation["horizons"].values()):
        parts.append(brier_over_table(evaluation, about.subject))
    else:
        parts.append(paragraph("No baseline answered, so there is none to compare with.", "note"))
    return "intervals", "Intervals", section("intervals", "How sure is that?", parts)


def _pictures(evaluation: Mapping[str, Any], figures: Mapping[str, Figure]) -> Part:
    shown = [picture(figures[name], words) for name, words in _shown(evaluation, figures)]
    parts = [f'<div class="pictures">\n{"".join(shown)}</div>\n'] if shown else []
    parts += [paragraph(sentence, "note") for sentence in _not_shown(evaluation, figures)]
    return "pictures", "Pictures", section("pictures", "Pictures", parts)


def _shown(
    evaluation: Mapping[str, Any], figures: Mapping[str, Figure]
) -> Iterator[tuple[str, str]]:
    """Return the names of the figures in the order of the page, and what each shows."""
    main = main_horizon(evaluation)
    wanted = [
        *(
            pair
            for x in sorted_days(evaluation["horizons"])
            for pair in (
                (f"reliability_{x}d", f"What was forecast and what happened within {x} days"),
                (f"lift_{x}d", f"Share of buyers within {x} days that is reached, and the lift"),
            )
        ),
        ("curve_by_stage", "Share that bought by day, by stage, foretold and seen"),
        (f"months_{main}d", f"Foretold over came within {main} days by month, and buyers"),
        (f"next_stage_{main}d", f"What became of each stage within {main} days"),
        (f"cells_{main}d", f"Foretold over came within {main} days by cell"),
        ("importance", "Share of the purchase model's gain by group of features"),
    ]
    yield from ((name, words) for name, words in wanted if name in figures)


def _not_shown(evaluation: Mapping[str, Any], figures: Mapping[str, Figure]) -> Iterator[str]:
    main = main_horizon(evaluation)
    plain = [x for x in sorted_days(evaluation["horizons"]) if f"lift_{x}d" not in figures]
    if plain:
        yield f"No picture of {', '.join(plain)} days: nobody bought, or everybody."
    if f"months_{main}d" not in figures:
        yield "No picture by month: one month only."
    if f"next_stage_{main}d" not in figures:
        yield "No picture of the next stage: nobody was followed from stage to stage."
    if f"cells_{main}d" not in figures:
        yield f"No picture of cells: none expects five buyers within {main} days."
    if "importance" not in figures:
        yield "No picture of the features' importance: the release does not hold it."


def _slices(evaluation: Mapping[str, Any], about: About) -> Part:
    main = main_horizon(evaluation)
    parts = []
    for name, called in _SLICES.items():
        rows = evaluation["slices"].get(name, {})
        if len(rows) > 1:
            parts.append(f"<h3>By {text(called)}</h3>\n")
            parts.append(slice_table(name, rows, main, about.subject, about.noun))
        else:
            only = f": there is only {next(iter(rows))}" if rows else ""
            parts.append(paragraph(f"Nothing to tell apart by {called}{only}.", "note"))
    return "slices", "Slices", section("slices", "For whom is it right?", parts)


def _value(evaluation: Mapping[str, Any], about: About) -> Part:
    known = any(found["value"] for found in evaluation["horizons"].values())
    part = value_table(evaluation, about.subject) if known else _note("The log has no values.")
    return "value", "Value", section("value", "Expected value", [part])


def _next_stage(evaluation: Mapping[str, Any], about: About) -> Part:
    known = any(found["next_stage"] for found in evaluation["horizons"].values())
    nothing = "Nobody was followed from stage to stage."
    part = next_stage_table(evaluation, about.subject, about.noun) if known else _note(nothing)
    return "next-stage", "Next stage", section("next-stage", "Next stage", [part])


def _cells(evaluation: Mapping[str, Any], about: About) -> Part:
    worst = worst_cells(evaluation["cells"])
    nothing = "No cell expects so many buyers that its level could be judged."
    part = cells_table(worst, about.subject, about.noun) if worst else _note(nothing)
    return "cells", "Cells", section("cells", "Where the level is worst", [part])


def _note(sentence: str) -> str:
    return paragraph(sentence, "note")


def _made(about: About) -> Part:
    facts = about.facts
    rows = [("Release", f"{about.release}, which learnt from events before {about.learnt_until}")]
    if "moments" in facts:
        learnt = (
            f"{facts['moments']:,} moments of {facts['users']:,} users and "
            f"{facts['brands']:,} brands; {facts['purchases_learnt']:,} of them with a purchase"
        )
        edges = ", ".join(f"{edge:,}" for edge in facts["edges"])
        method = METHODS.get(facts["purchase_method"], facts["purchase_method"])
        rows += [
            ("Learnt from", learnt),
            ("Purchases", f"by {method}, in bins that end after {edges} days"),
        ]
    rows += [("Calibration", f"{facts['calibration']}")] if "calibration" in facts else []
    features = (facts.get("importance") or {}).get("features") or {}
    parts = [definitions(rows), importance_table(features) if features else ""]
    return "made", "How it was made", section("made", "How it was made", parts)


def _read() -> Part:
    return "read", "How to read it", section("read", "How to read it", [definitions(GLOSSARY)])
