"""The command `roi`: what a campaign has returned, and will have returned at T+x."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from features.dataset import OpenDataset
from features.errors import ConfigError
from features.spans import Span
from models.release import Release
from stagecast.commands.options import AsJson, Config, MaybeAsOf, ReleaseName
from stagecast.commands.roi_tables import show_backtest, show_holdout, show_return
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.campaign import Campaign

__all__ = ["roi"]

CampaignName = Annotated[
    str | None, typer.Option("--campaign", help="The campaign's id, as the log or the file has it.")
]
Horizon = Annotated[
    int | None,
    typer.Option(min=1, max=365, help="x in days. Default: the decision cycle of its brands."),
]
Touches = Annotated[
    Path | None,
    typer.Option(
        help="A file of touches (user_id, brand_id, touched_at; cost, channel, campaign_id). "
        "Default: the campaign_id of the log.",
        metavar="FILE",
    ),
]
Holdout = Annotated[
    Path | None, typer.Option(help="A file of user_ids whom nobody touched.", metavar="FILE")
]
Cost = Annotated[float | None, typer.Option(help="What the campaign cost in all.")]
Backtest = Annotated[
    bool,
    typer.Option("--backtest", help="Forecast campaigns that are over again, as of T+7."),
]


def roi(
    config: Config,
    campaign: CampaignName = None,
    as_of: MaybeAsOf = None,
    horizon: Horizon = None,
    touches: Touches = None,
    cost: Cost = None,
    holdout: Holdout = None,
    backtest: Backtest = False,
    release: ReleaseName = "champion",
    as_json: AsJson = False,
) -> None:
    """Say what a campaign has sold, what it will have sold at T+x, and when its cost is back."""
    _check(campaign, horizon, cost, holdout, backtest)
    configuration = load_configuration(config)
    question = _Question(
        configuration,
        campaign,
        None if as_of is None else configuration.instant(as_of),
        touches,
        cost,
        release,
    )
    terminal = Terminal(as_json)
    if backtest:
        _backtest(question, terminal)
    else:
        _return(question, terminal, horizon, holdout)


def _check(
    campaign: str | None,
    horizon: int | None,
    cost: float | None,
    holdout: Path | None,
    backtest: bool,
) -> None:
    if not backtest and not campaign:
        raise ConfigError("--campaign: name the campaign, or ask for --backtest.")
    if cost is not None and not 0 <= cost < float("inf"):
        raise ConfigError(f"--cost: {cost:g}; write an amount from 0 on.")
    unused = {"--horizon": horizon, "--cost": cost, "--holdout": holdout}
    given = [name for name, value in unused.items() if value is not None]
    if backtest and given:
        raise ConfigError(f"{given[0]}: --backtest takes none; it looks at T+29 and T+70.")


@dataclass(frozen=True)
class _Question:
    """What was asked; `asked` is the instant of --as-of, if it was given."""

    configuration: Configuration
    name: str | None
    asked: int | None
    touches: Path | None
    cost: float | None
    release: str

    @contextmanager
    def open(self) -> Iterator[tuple[OpenDataset, int]]:
        """Open the log up to the instant that is asked about, and give both."""
        from features.events import log_end

        span = None if self.asked is None else Span(until=self.asked)
        with self.configuration.dataset.open(span, campaigns=self.touches is None) as data:
            yield data, log_end(data.engine, data.log.table) if self.asked is None else self.asked

    def opted_out(self) -> frozenset[str]:
        """Return who never appears."""
        from serving.opt_outs import OptOuts

        return OptOuts(
            self.configuration.folder / self.configuration.settings.privacy.opt_outs
        ).ids()

    def campaign(self, data: OpenDataset, name: str, as_of: int) -> "Campaign":
        """Return a campaign of the file of touches, or of the log."""
        from serving.crowd.campaign_sources import campaign_of_file, campaign_of_log

        out = self.opted_out()
        if self.touches is None:
            return campaign_of_log(data, name, as_of, out, self.cost)
        brands = data.brands(as_of)
        return campaign_of_file(data, self.touches, name, brands, as_of, out, self.cost)

    def found_release(self) -> Release:
        """Return the release that was named."""
        from stagecast.releases import find_release

        return find_release(self.configuration, self.release)


def _return(
    question: _Question, terminal: Terminal, horizon: int | None, holdout: Path | None
) -> None:
    from serving.crowd.campaign_sources import holdout_of
    from serving.crowd.roi import campaign_return
    from serving.crowd.roi_holdout import compared_with_holdout

    compared = None
    said: tuple[str, ...] = ()
    with (
        terminal.progress("Reading the event log") as progress,
        question.open() as (data, as_of),
    ):
        found = question.campaign(data, question.name or "", as_of)
        progress("Forecasting what is still to come")
        result = campaign_return(data, found, as_of, horizon, question.found_release)
        if holdout:
            users, said = holdout_of(data, holdout, found, as_of, question.opted_out())
            compared = compared_with_holdout(data, found, users, as_of, result.horizon)
    terminal.note((*result.said, *said))
    show_return(terminal, question.configuration, result)
    if compared:
        show_holdout(terminal, compared)
    terminal.result(result.as_data() | {"holdout": compared and compared.as_data()})


def _backtest(question: _Question, terminal: Terminal) -> None:
    from serving.crowd.campaign_sources import campaigns_of_log
    from serving.crowd.roi_backtest import HORIZONS, backtest, coverage

    if question.touches and not question.name:
        raise ConfigError("--touches: name the campaign of the file with --campaign.")
    release = question.found_release()
    with (
        terminal.progress("Reading the event log") as progress,
        question.open() as (data, as_of),
    ):
        campaigns = (
            (question.campaign(data, question.name, as_of),)
            if question.name
            else campaigns_of_log(data, as_of, question.opted_out())
        )
        rows = backtest(data, release, campaigns, progress)
    terminal.note(data.said)
    show_backtest(terminal, rows, release.name)
    within = {str(x): coverage([row for row in rows if row.horizon == x]) for x in HORIZONS}
    terminal.result(
        {"release": release.name, "rows": [row.as_data() for row in rows], "within": within}
    )
