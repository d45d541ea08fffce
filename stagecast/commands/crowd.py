"""The command about the crowd: where pairs stand, how they moved, and what is expected of them."""

from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from features.errors import ConfigError
from stagecast.commands.crowd_tables import (
    show_census,
    show_coverage,
    show_flow,
    show_outlook,
)
from stagecast.commands.options import AsJson, Config, day_of
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.census import Census
    from serving.crowd.census_scope import Scope
    from serving.crowd.crowd_forecast import CrowdForecast

__all__ = ["crowd"]

_SINCE_DAYS: Final = 30


def crowd(
    config: Config,
    brand: Annotated[str | None, typer.Option(help="The crowd of this brand.")] = None,
    category: Annotated[
        str | None, typer.Option(help="The crowd of all brands of this category.")
    ] = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", help="A day, at its midnight. Default: the last of the log."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="The day from which the census and the flow are shown. Default: 30 days before."
        ),
    ] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Days. Default: all horizons of the scored file.")
    ] = None,
    backtest: Annotated[
        bool,
        typer.Option("--backtest", help="Show how often the champion's intervals held."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say where pairs stand, how they moved, and what is expected of them."""
    from serving.crowd.census_scope import Scope

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    if backtest and any(one is not None for one in (brand, category, as_of, since, horizon)):
        raise ConfigError("--backtest looks at all brands, days and horizons: give it alone.")
    census = _census(configuration, terminal)
    if backtest:
        terminal.result({"backtest": _backtest(configuration, terminal, census)})
        return
    scope = Scope.chosen(brand, category, census.categories)
    first, day = _days(census, since, as_of)
    found: dict[str, Any] = {
        "scope": {"brand": brand, "category": category},
        "as_of": day.isoformat(),
    }
    forecast = _forecast(configuration, terminal, census, day, horizon, as_of is not None)
    series, flow = census.series(scope, first, day), census.flow(scope, first, day)
    terminal.say(f"The crowd of {scope.title} at {day}, in pairs of a user and a brand", "")
    show_census(terminal, series)
    show_flow(terminal, flow)
    found |= {"census": series.as_data(), "flow": flow.as_data()}
    found["forecast"] = _outlooks(terminal, census, scope, forecast, horizon)
    terminal.result(found)


def _days(census: "Census", since: str | None, as_of: str | None) -> tuple[date, date]:
    """Return the first day that is shown, and the last."""
    day = census.check_day(day_of(as_of, "--as-of") or census.last_day, "--as-of")
    usual = max(day - timedelta(days=_SINCE_DAYS), census.first_day)
    first = census.check_day(day_of(since, "--since") or usual, "--since")
    if first > day:
        raise ConfigError(f"--since: {first} is later than --as-of {day}; give an earlier day.")
    return first, day


def _scores(configuration: Configuration) -> Path:
    return configuration.folder / configuration.settings.scores.path


def _census(configuration: Configuration, terminal: Terminal) -> "Census":
    from serving.crowd.census import Census
    from serving.crowd.census_folder import census_folder

    with terminal.progress("Reading the event log") as progress:
        folder = census_folder(configuration.dataset, _scores(configuration), progress)
    return Census(folder)


def _forecast(
    configuration: Configuration,
    terminal: Terminal,
    census: "Census",
    day: date,
    horizon: int | None,
    day_was_asked: bool,
) -> "CrowdForecast | None":
    """Return the forecast of a day from its scored file, and keep it; None where there is none."""
    from serving.crowd.crowd_forecast_day import forecast_of_day

    if not _scored(configuration, terminal, day, horizon, day_was_asked):
        return None
    scores, zone = _scores(configuration), configuration.settings.events.time_zone
    with terminal.progress("Adding up the forecasts") as progress:
        forecast = forecast_of_day(census, scores, configuration.releases, day, zone, progress)
    if horizon is not None and horizon not in forecast.horizons:
        raise ConfigError(
            f"--horizon: {horizon}; the scored file of {day} holds "
            f"{', '.join(map(str, forecast.horizons))} days. Choose one, or score anew: "
            f"stagecast score {configuration.path} --as-of {day} --horizons {horizon}"
        )
    if not forecast.honest:
        terminal.note([f"release {forecast.release} may have learnt from days after {day}"])
    return forecast


def _scored(
    configuration: Configuration,
    terminal: Terminal,
    day: date,
    horizon: int | None,
    day_was_asked: bool,
) -> bool:
    """Return whether a day was scored; say how to, or refuse, where it was not."""
    from serving.crowd.crowd_forecast_scored import scored_days

    scores = _scores(configuration)
    days = scored_days(scores)
    if day in days:
        return True
    way = f"score it first: stagecast score {configuration.path} --as-of {day}"
    if days and not day_was_asked:
        raise ConfigError(
            f"[scores] path: the newest scored day is {days[-1]}, and the log goes on to "
            f"{day}; {way}, or look at that day: --as-of {days[-1]}"
        )
    if horizon is not None:
        raise ConfigError(f"--horizon: {scores} holds no forecasts of {day}; {way}")
    terminal.note([f"no forecast: {scores} holds none of {day}; {way}"])
    return False


def _outlooks(
    terminal: Terminal,
    census: "Census",
    scope: "Scope",
    forecast: "CrowdForecast | None",
    horizon: int | None,
) -> dict[str, Any] | None:
    if forecast is None:
        return None
    asked = forecast.horizons if horizon is None else (horizon,)
    outlooks = [forecast.outlook(scope, census.categories, x) for x in asked]
    for outlook in outlooks:
        show_outlook(terminal, outlook, forecast)
    return {
        "release": forecast.release,
        "in_time": forecast.honest,
        "horizons": [outlook.as_data() for outlook in outlooks],
    }


def _backtest(configuration: Configuration, terminal: Terminal, census: "Census") -> dict[str, Any]:
    from serving.crowd.crowd_forecast_backtest import backtest, backtest_days, forecast_days
    from stagecast.releases import find_release

    release = find_release(configuration, "champion")
    horizons = tuple(
        sorted(x for x in configuration.settings.forecast.horizons if x <= release.max_horizon)
    )
    zone = configuration.settings.events.time_zone
    days = backtest_days(census, release, zone, horizons[0])
    with terminal.progress(f"Scoring {days[0]}") as progress:
        forecasts = forecast_days(
            configuration.dataset, release, census, _scores(configuration), days, horizons, progress
        )
        rows = backtest(census, forecasts, progress)
    terminal.say(
        f"Release {release.name} on {len(days)} days from {days[0]} to {days[-1]}: how often "
        "intervals of 80 % held what came",
        "",
    )
    show_coverage(terminal, rows)
    return {
        "release": release.name,
        "days": [day.isoformat() for day in days],
        "rows": [row.as_data() for row in rows],
    }
