"""The command `why`: what speaks for a pair or an audience, and what to do for it."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from features.errors import ConfigError
from stagecast.commands.audience_tables import local_time
from stagecast.commands.options import AsJson, Config, MaybeAsOf, ReleaseName
from stagecast.commands.playbooks import Language, Words, advice_data, say_advice, say_list
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from models.release import Release
    from serving.crowd.audience_saved import SavedAudience
    from serving.crowd.playbook import Playbook
    from serving.crowd.why_audience import AudienceWhy
    from serving.crowd.why_pair import PairWhy
    from serving.crowd.why_words import GroupReason

__all__ = ["why"]

_STAGES: Final = 3
"""Of an audience, the advice for so many of its stages is shown to people."""


def why(
    config: Config,
    user: Annotated[str | None, typer.Option(help="The user's id.")] = None,
    brand: Annotated[str | None, typer.Option(help="The brand's id.")] = None,
    audience: Annotated[
        Path | None, typer.Option(help="A saved audience, in place of a pair.", metavar="FILE")
    ] = None,
    as_of: MaybeAsOf = None,
    horizon: Annotated[
        int | None,
        typer.Option(help="Days. Default: the decision cycle of the brand's category."),
    ] = None,
    release: ReleaseName = "champion",
    language: Language = Words.EN,
    as_json: AsJson = False,
) -> None:
    """Say why a pair, or an audience, is likely to buy, where it stands, and what to do for it."""
    from serving.crowd.audience_saved import read_audience
    from stagecast.releases import find_release

    if (user is None or brand is None) if audience is None else (user or brand or as_of or horizon):
        raise ConfigError("why: give --user and --brand, or --audience and a file alone.")
    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    if audience is not None:
        saved = read_audience(audience, "--audience")
        name = saved.release if release == "champion" else release
        found = find_release(configuration, name)
        whole = _audience(terminal, configuration, found, saved)
        book = _book(terminal, configuration, found)
        _tell_audience(terminal, saved, whole, (found, book), language)
        return
    found = find_release(configuration, release)
    instant = None if as_of is None else configuration.instant(as_of)
    pair = _pair(terminal, configuration, found, (str(user), str(brand)), instant, horizon)
    _tell_pair(terminal, configuration, pair, _book(terminal, configuration, found), language)


def _book(terminal: Terminal, configuration: Configuration, release: "Release") -> "Playbook":
    from serving.crowd.playbook import load_playbook

    book, model = (
        load_playbook(configuration.settings.playbook, configuration.folder),
        release.stages,
    )
    if silent := book.silent(model):
        terminal.note([f"the playbook says nothing of {', '.join(silent)} of {model.name}"])
    return book


def _opted_out(configuration: Configuration) -> frozenset[str]:
    from serving.opt_outs import OptOuts

    return OptOuts(configuration.folder / configuration.settings.privacy.opt_outs).ids()


def _check_horizon(horizon: int, release: "Release") -> None:
    if not 1 <= horizon <= release.max_horizon:
        raise ConfigError(
            f"--horizon: {horizon}; the release answers 1 to {release.max_horizon} days."
        )


def _pair(
    terminal: Terminal,
    configuration: Configuration,
    release: "Release",
    pair: tuple[str, str],
    as_of: int | None,
    horizon: int | None,
) -> "PairWhy":
    from features.events import log_end
    from models.batch import looked_at, said_of
    from serving.crowd.why_pair import pair_why

    if horizon is not None:
        _check_horizon(horizon, release)
    if pair[0] in _opted_out(configuration):
        raise ConfigError(f"--user: {pair[0]!r} opted out, so nothing is forecast of them.")
    span = None if as_of is None else looked_at(as_of)
    with (
        terminal.progress("Reading the event log"),
        configuration.dataset.open(span) as data,
    ):
        instant = log_end(data.engine, data.log.table) if as_of is None else as_of
        found = pair_why(data, release, *pair, instant, horizon)
        terminal.note(said_of(data, release))
    return found


def _audience(
    terminal: Terminal, configuration: Configuration, release: "Release", saved: "SavedAudience"
) -> "AudienceWhy":
    from models.batch import looked_at, said_of
    from serving.crowd.why_audience import audience_why

    if saved.hashed:
        raise ConfigError(
            f"--audience: the ids of {saved.path} are hashed, and reasons are of users; write that "
            "audience without --hash."
        )
    _check_horizon(saved.horizon, release)
    opted_out = _opted_out(configuration)
    with (
        terminal.progress("Reading the event log"),
        configuration.dataset.open(looked_at(saved.as_of)) as data,
    ):
        users, brand, x = saved.users(), saved.brand, saved.horizon
        found = audience_why(data, release, users, brand, saved.as_of, x, opted_out)
        terminal.note(said_of(data, release))
    return found


def _tell_pair(
    terminal: Terminal,
    configuration: Configuration,
    found: "PairWhy",
    book: "Playbook",
    language: Words,
) -> None:
    receipt = found.receipt
    name = receipt.model.names[receipt.stage]
    terminal.say(
        f"User {found.user} and brand {found.brand}: {receipt.title}, {found.forecast:.1%} to buy "
        f"within {found.horizon} days",
        f"at {local_time(configuration, found.as_of)}, by release {found.release}",
    )
    if found.status != "ok":
        terminal.say(f"({found.status.replace('_', ' ')}: what is usual in its cell answers)")
    _say_groups(terminal, f"Why, from {found.typical:.1%} as for a typical pair", found.groups)
    say_list(terminal, "The strongest single reasons", found.facts)
    rules = [one.words for rule in receipt.because for one in rule.evidence]
    say_list(terminal, f"Why at {receipt.title}", rules)
    for higher in receipt.higher[:1]:
        ways = [" and ".join(rule.missing_words) for rule in higher.others]
        say_list(terminal, f"What {higher.stage.title} lacks: any of", ways)
    falls = [f"from {local_time(configuration, fall.at)}: {fall.title}" for fall in receipt.lapses]
    say_list(terminal, "If nothing more happens", falls)
    advice = say_advice(terminal, book, receipt.model.name, {name: receipt.title}, language)
    terminal.result({**found.as_data(), "stage": name, "playbook": advice[name]})


def _tell_audience(
    terminal: Terminal,
    saved: "SavedAudience",
    found: "AudienceWhy",
    by: tuple["Release", "Playbook"],
    language: Words,
) -> None:
    release, book = by
    terminal.say(
        f"Audience {saved.path}: brand {saved.brand}, {saved.horizon} days, by release "
        f"{release.name}",
        f"{found.users:,} of its users against {found.crowd:,} of all who had met the brand",
    )
    more = found.log_odds - found.crowd_log_odds
    _say_groups(terminal, f"Why likelier: odds {_factor(more)} on average", found.groups)
    facts = [f"{one.sentence}{_means(one.mean, one.crowd_mean)}" for one in found.features]
    say_list(terminal, "The strongest single differences", facts)
    counts = {name: n for name, n in saved.manifest["stages"].items() if n}
    titles = dict(zip(release.stages.names, _titles(release), strict=True))
    order = sorted(counts, key=lambda name: -counts[name])
    say_list(terminal, "Where they stand", [f"{titles[name]}: {counts[name]:,}" for name in order])
    shown = {name: titles[name] for name in order[:_STAGES]}
    say_advice(terminal, book, release.stages.name, shown, language)
    advice = advice_data(book, release.stages.name, order)
    terminal.result(
        {
            "brand": saved.brand,
            "release": release.name,
            **found.as_data(),
            "stages": counts,
            "playbook": advice,
        }
    )


def _titles(release: "Release") -> list[str]:
    return ["none", *(stage.title for stage in release.stages.stages)]


def _means(mine: float | None, crowd: float | None) -> str:
    return "" if mine is None or crowd is None else f"; {mine:,.3g} on average, not {crowd:,.3g}"


def _factor(log_odds: float) -> str:
    from models.reason_words import English

    return English().factor(log_odds)


def _say_groups(terminal: Terminal, title: str, groups: Sequence["GroupReason"]) -> None:
    say_list(terminal, title, [one.sentence for one in groups])
