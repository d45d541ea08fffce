"""The command `explain`: a forecast, and its reasons in words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final
from zoneinfo import ZoneInfo

import typer

from features.errors import ConfigError
from features.instants import datetime_of
from stagecast.commands.options import AsJson, Config, MaybeAsOf, ReleaseName
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from models.release import Release
    from models.told_reasons import ToldReason
    from stagecast.explanations import Explanation, ReasonsWritten

__all__ = ["explain"]

_SHOWN: Final = 6
"""So many reasons up, and so many down, are shown to people; programs get all."""

_BAR: Final = 16
_NAME: Final = 26
_MOVES: Final = 3

_UNKNOWN: Final = {
    "unknown_user": (
        "The user has no event in the 365 days before, so nothing is known of the pair:",
        "what is usual for the brand answers, the prior of its cell.",
    ),
    "unknown_brand": (
        "The brand had no event before the release was trained:",
        "what is usual for all brands answers, the prior of the widest cell.",
    ),
}


def explain(
    config: Config,
    user: Annotated[str | None, typer.Option(help="The user's id.")] = None,
    brand: Annotated[str | None, typer.Option(help="The brand's id.")] = None,
    as_of: MaybeAsOf = None,
    horizon: Annotated[
        int | None,
        typer.Option(help="Days. Default: the decision cycle of the brand's category."),
    ] = None,
    release: ReleaseName = "champion",
    pairs: Annotated[
        Path | None,
        typer.Option(help="A file of pairs (user_id, brand_id), in place of one.", metavar="FILE"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The Parquet file for the reasons of --pairs.", metavar="FILE"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what is to be expected of a pair, and why: the reasons of its forecast, in words."""
    from stagecast.releases import find_release

    one, many = (user, brand), (pairs, out)
    if None not in one and many == (None, None):
        wanted = "pair"
    elif None not in many and one == (None, None):
        wanted = "file"
    else:
        raise ConfigError("explain: give --user and --brand, or --pairs and --out.")
    configuration = load_configuration(config)
    found = find_release(configuration, release)
    if horizon is not None and not 1 <= horizon <= found.max_horizon:
        raise ConfigError(
            f"--horizon: {horizon}; the release answers 1 to {found.max_horizon} days."
        )
    instant = None if as_of is None else configuration.instant(as_of)
    terminal = Terminal(as_json)
    if wanted == "pair":
        _explain_pair(terminal, configuration, found, (str(user), str(brand)), instant, horizon)
    else:
        _explain_file(
            terminal, configuration, found, (Path(str(pairs)), Path(str(out))), instant, horizon
        )


def _explain_pair(
    terminal: Terminal,
    configuration: Configuration,
    release: "Release",
    pair: tuple[str, str],
    as_of: int | None,
    horizon: int | None,
) -> None:
    from stagecast.explanations import explained_pair

    with terminal.progress("Reading the event log"):
        found = explained_pair(configuration.dataset, release, *pair, as_of, horizon)
    terminal.note(found.said)
    _show_head(terminal, found, configuration)
    _show_forecast(terminal, found)
    _show_groups(terminal, found)
    raising, lowering = found.told(_SHOWN)
    _show_reasons(terminal, "What raises the chance most", raising, found)
    _show_reasons(terminal, "What lowers it most", lowering, found)
    terminal.say(
        "Odds are p / (1 - p): ×2 turns 1 % into 2 %, 50 % into 67 %. "
        "Points are percentage points.",
        "A reason says what the forecast is made of, not what a change would bring about.",
    )
    terminal.result(found.as_data())


def _show_head(terminal: Terminal, found: "Explanation", configuration: Configuration) -> None:
    zone = configuration.settings.events.time_zone
    local = datetime_of(found.as_of).astimezone(ZoneInfo(zone))
    chance = _percent(found.reasons.forecast[0])
    terminal.say(
        f"User {found.user} and brand {found.brand}: {chance} to buy within {_days(found.horizon)}",
        f"at {local:%Y-%m-%d %H:%M} {zone}, by release {found.release.name}",
    )
    if found.status != "ok":
        terminal.say(*_UNKNOWN[found.status])
    if found.horizon < found.cycle_days:
        terminal.say(f"(In this category people decide within {_days(found.cycle_days)}.)")
    terminal.say("")


def _show_forecast(terminal: Terminal, found: "Explanation") -> None:
    outcome = found.forecast.p_outcome[0, 0].tolist()
    likely = sorted(zip(outcome[1:-1], found.titles[1:], strict=True), reverse=True)
    moves = [f"{title} {_percent(p)}" for p, title in likely[:_MOVES] if p >= 0.0005]
    rows = [
        ("stage now", found.titles[found.stage]),
        ("next stage", ", ".join(moves) or "none"),
        ("stays, lapses", f"{_percent(outcome[0])}, {_percent(outcome[-1])}"),
        ("expected time at the stage", f"{found.expected_days:.1f} of these days"),
    ]
    if found.expected_value is not None:
        rows.append(("expected value", f"{found.expected_value:,.2f}"))
    terminal.say(f"What to expect within {_days(found.horizon)}")
    for what, said in rows:
        terminal.say(f"  {what:<{_NAME}}  {said}")
    terminal.say("")


def _show_groups(terminal: Terminal, found: "Explanation") -> None:
    reasons, words, groups = found.reasons, found.teller.words, found.groups()
    most = max((abs(odds) for _, odds, _ in groups), default=1.0)
    rows = [
        (f"  {words.group(name)}", _bar(odds / most), words.factor(odds), _points(points))
        for name, odds, points in groups
    ]
    total = float(reasons.log_odds[0]) - reasons.typical_log_odds
    moved = float(reasons.forecast[0]) - reasons.typical
    rows.append(("  all together", "", words.factor(total), _points(moved)))
    terminal.say(
        f"Why: from {_percent(reasons.typical)}, as for a typical pair, to "
        f"{_percent(reasons.forecast[0])}"
    )
    terminal.table("", ["  kind of reason", "", "odds", "points"], rows, left=2)
    terminal.say("")


def _show_reasons(
    terminal: Terminal, title: str, told: "list[ToldReason]", found: "Explanation"
) -> None:
    words = found.teller.words
    if told:
        terminal.say(title)
        for reason in told:
            factor, points = words.factor(reason.log_odds), _points(reason.points)
            terminal.say(f"  {factor:>6}  {points:>6}  {reason.fact}")
        terminal.say("")


def _bar(share: float) -> str:
    """Return a bar to the right of an axis, or to its left."""
    filled = "█" * max(round(abs(share) * _BAR), 1)
    left, right = ("", filled) if share > 0 else (filled, "")
    return f"{left:>{_BAR}}│{right:<{_BAR}}"


def _percent(p: float) -> str:
    percent = 100 * float(p)
    if percent >= 1:
        return f"{percent:.1f} %"
    return f"{percent:.2g} %" if percent >= 0.01 else "under 0.01 %"


def _points(points: float) -> str:
    percent = 100 * points
    return f"{percent:+.1f}" if abs(percent) >= 0.95 else f"{percent:+.2f}"


def _days(number: int) -> str:
    return "1 day" if number == 1 else f"{number} days"


def _explain_file(
    terminal: Terminal,
    configuration: Configuration,
    release: "Release",
    paths: tuple[Path, Path],
    as_of: int | None,
    horizon: int | None,
) -> None:
    from stagecast.explanations import written_reasons

    cycle = configuration.settings.forecast.decision_cycle_days
    x = min(cycle, release.max_horizon) if horizon is None else horizon
    with terminal.progress("Reading the event log") as progress:
        found = written_reasons(configuration.dataset, release, as_of, x, *paths, progress)
    terminal.note(found.said)
    _show_written(terminal, found, release, x)
    terminal.result(
        {
            "out": str(found.path),
            "release": release.name,
            "as_of": datetime_of(found.as_of).isoformat(),
            "horizon_days": x,
            "pairs": found.pairs,
            "unknown": found.unknown,
            "typical": found.typical,
            "groups": dict(found.groups),
        }
    )


def _show_written(
    terminal: Terminal, found: "ReasonsWritten", release: "Release", horizon: int
) -> None:
    from models.reason_words import English

    terminal.say(
        f"The reasons of {found.pairs:,} forecasts within {_days(horizon)}, "
        f"by release {release.name}: {found.path}",
        "",
    )
    if found.unknown:
        terminal.say(
            f"{found.unknown:,} pairs have an unknown user or brand; "
            "the prior of their cell answers.",
            "",
        )
    words = English()
    terminal.say("What moves them, on average, either way")
    terminal.table(
        "",
        ["kind of reason", "odds"],
        [
            (words.group(name), words.factor(size))
            for name, size in sorted(found.groups.items(), key=lambda item: -item[1])
            if size
        ],
    )
