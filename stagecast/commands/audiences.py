"""The command `audience`: whom to choose for a brand, what to expect of them, what came of it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from features.errors import ConfigError
from stagecast.commands.audience_checks import check_audience
from stagecast.commands.audience_tables import show_audience
from stagecast.commands.options import AsJson, Config, MaybeAsOf
from stagecast.configuration import Configuration, load_configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.audience import Audience
    from serving.crowd.audience_choice import Chosen
    from serving.crowd.audience_exclusions import Exclusion
    from serving.crowd.audience_file import AudienceFile
    from serving.crowd.audience_rules import AudienceRules
    from serving.crowd.scored import ScoredFile
    from serving.crowd.scored_pairs import ScoredPairs

__all__ = ["audience"]

_SALT: Final = "audiences.salt"


def audience(
    config: Config,
    brand: Annotated[str | None, typer.Option(help="The brand's id.")] = None,
    horizon: Annotated[
        int | None, typer.Option(help="Days: one of the horizons that were scored.")
    ] = None,
    stage: Annotated[
        list[str] | None, typer.Option(help="Only users at this stage; repeated for more.")
    ] = None,
    min_probability: Annotated[
        float | None, typer.Option(help="Only users who buy at least so probably.")
    ] = None,
    min_value: Annotated[
        float | None, typer.Option(help="Only users with at least this expected value.")
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="Only users with this attribute; repeated for more: of one attribute any value "
            "will do, different ones must all hold.",
            metavar="ATTRIBUTE=VALUE",
        ),
    ] = None,
    exclude: Annotated[
        list[Path] | None,
        typer.Option(
            help="No user of this file: CSV or Parquet with user_id, or text; repeated for more.",
            metavar="FILE",
        ),
    ] = None,
    size: Annotated[int | None, typer.Option(help="The likeliest, so many of them.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="The likeliest, down to this probability.")
    ] = None,
    budget: Annotated[
        float | None,
        typer.Option(help="The likeliest, as many as it pays for at --cost-per-user."),
    ] = None,
    cost_per_user: Annotated[
        float | None, typer.Option(help="What it costs to reach one user.")
    ] = None,
    hash_ids: Annotated[
        bool, typer.Option("--hash", help="Write salted SHA-256 in the place of ids.")
    ] = False,
    salt_file: Annotated[
        Path | None,
        typer.Option(
            help="The salt of --hash, made where it is missing. "
            f"Default: {_SALT} beside the configuration.",
            metavar="FILE",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file of users: .csv or .parquet.", metavar="FILE"),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(help="Hold a saved audience against what came since.", metavar="FILE"),
    ] = None,
    as_of: MaybeAsOf = None,
    as_json: AsJson = False,
) -> None:
    """Choose users for a brand, and say what to expect of them; or hold a list to what came."""
    from serving.crowd.audience_rules import audience_rules

    configuration = load_configuration(config)
    terminal = Terminal(as_json)
    if check is not None:
        others = [brand, horizon, stage, min_probability, min_value, where, exclude, size]
        _refuse_beside_check([*others, threshold, budget, cost_per_user, out, hash_ids or None])
        check_audience(terminal, configuration, check, as_of, _salt_path(configuration, salt_file))
        return
    if brand is None or horizon is None:
        raise ConfigError("audience: give --brand and --horizon, or --check and a file.")
    _refuse_without(as_of, salt_file if not hash_ids else None)
    rules = audience_rules(
        brand=brand,
        horizon=horizon,
        stages=tuple(stage or ()),
        min_probability=min_probability,
        min_value=min_value,
        where=tuple(map(_attribute, where or ())),
        size=size,
        threshold=threshold,
        budget=budget,
        cost_per_user=cost_per_user,
    )
    salt_path = _salt_path(configuration, salt_file) if hash_ids else None
    _choose(terminal, configuration, rules, exclude or [], out, salt_path)


def _refuse_beside_check(options: Sequence[object]) -> None:
    if any(option is not None for option in options):
        raise ConfigError("audience: --check goes with --as-of and --salt-file only.")


def _refuse_without(as_of: str | None, salt_file: Path | None) -> None:
    if as_of is not None:
        raise ConfigError(
            "--as-of goes with --check: an audience is of the newest scored file's instant. "
            f"Score anew: stagecast score CONFIG --as-of {as_of}"
        )
    if salt_file is not None:
        raise ConfigError("--salt-file goes with --hash, or with --check.")


def _attribute(text: str) -> tuple[str, str]:
    name, sign, value = text.partition("=")
    if not sign or not name or not value:
        raise ConfigError(f"--where: {text!r}; write it like 'gender=female'.")
    return name, value


def _salt_path(configuration: Configuration, given: Path | None) -> Path:
    return configuration.folder / _SALT if given is None else given


def _choose(
    terminal: Terminal,
    configuration: Configuration,
    rules: "AudienceRules",
    exclude: Sequence[Path],
    out: Path | None,
    salt_path: Path | None,
) -> None:
    from serving.crowd.audience import summed
    from serving.crowd.audience_choice import chosen
    from serving.crowd.audience_crowd import crowd_of
    from serving.crowd.audience_exclusions import all_excluded, read_exclusion
    from serving.crowd.audience_file import about_audience, check_out
    from serving.crowd.scored_origin import scored_stage_model

    if out is not None:
        check_out(out)
    written = None
    with _scored(terminal, configuration) as pairs:
        model = scored_stage_model(pairs.file, configuration.releases, configuration.dataset)
        crowd = crowd_of(pairs, rules.brand, rules.horizon, model)
        exclusions = [read_exclusion(pairs, crowd, path) for path in exclude]
        choice = chosen(pairs, crowd, rules, all_excluded(exclusions))
        found = summed(pairs, crowd, choice)
        about = about_audience(pairs, found, None, exclusions)
        if out is not None and found.users:
            written = _written(terminal, pairs, choice, found, out, salt_path, exclusions)
            about = dict(written.manifest)
        terminal.note([text for one in exclusions for text in one.said])
        terminal.note(_said(configuration, pairs.file, found))
    show_audience(terminal, configuration, pairs.file, found, model)
    if written is not None:
        terminal.say("", f"{found.users:,} users: {written.path}")
        terminal.say(f"What they are: {written.manifest_path}")
    terminal.result({"out": None if written is None else str(written.path), **about})
    if not found.users:
        raise typer.Exit(1)


@contextmanager
def _scored(terminal: Terminal, configuration: Configuration) -> Iterator["ScoredPairs"]:
    """Open the newest scored file, without the users who opted out."""
    from serving.crowd.scored import newest_scored
    from serving.crowd.scored_origin import scored_brands
    from serving.crowd.scored_pairs import open_scored
    from serving.opt_outs import OptOuts

    settings = configuration.settings
    file, said = newest_scored(configuration.folder / settings.scores.path)
    terminal.note(said)
    opted_out = OptOuts(configuration.folder / settings.privacy.opt_outs).ids()
    brands = scored_brands(file, configuration.releases)
    with (
        terminal.progress("Reading the scored file"),
        open_scored(file, configuration.dataset, brands, opted_out) as pairs,
    ):
        yield pairs


def _written(
    terminal: Terminal,
    pairs: "ScoredPairs",
    choice: "Chosen",
    found: "Audience",
    out: Path,
    salt_path: Path | None,
    exclusions: Sequence["Exclusion"],
) -> "AudienceFile":
    from serving.crowd.audience_file import formula_like, write_audience
    from serving.crowd.audience_hashes import open_salt

    salt = None if salt_path is None else open_salt(salt_path)
    written = write_audience(pairs, choice, found, out, salt, exclusions)
    if salt is None and out.suffix.lower() == ".csv":
        terminal.note(_formulas(formula_like(pairs, choice)))
    return written


def _formulas(number: int) -> list[str]:
    text = (
        f"{number:,} ids begin as a formula does (=, +, -, @): they are written as they are, so "
        "that they still are somebody's. Do not open the file in a spreadsheet; Parquet and --hash "
        "are safe"
    )
    return [text] * (number > 0)


def _said(configuration: Configuration, file: "ScoredFile", found: "Audience") -> list[str]:
    from serving.crowd.scored_origin import days_behind, is_by_champion

    said, rules = [], found.rules
    behind = days_behind(file, configuration.dataset)
    if behind > 0:
        said.append(
            f"the log goes on for {behind:.0f} days after {file.path.name}; what came then is not "
            f"in these numbers: stagecast score {configuration.path} --as-of DATE"
        )
    if not is_by_champion(file, configuration.releases):
        said.append(f"{file.path.name} is by release {file.release}, which is not the champion now")
    users = found.users
    if rules.most is not None and 0 < users < rules.most:
        said.append(f"{rules.most:,} users were asked for, and {users:,} meet the conditions")
    if not users:
        said.append("nobody meets all conditions, so no file is written; ask for less")
    if found.crowd.sums.buyers < 1:
        said.append(
            f"of all scored users of {rules.brand} together, fewer than one is expected to buy "
            f"within {rules.horizon} days: no list can hold many buyers"
        )
    if rules.horizon < found.crowd.cycle_days:
        said.append(
            f"in this category people decide within {found.crowd.cycle_days} days: many buy later "
            "than that"
        )
    return said
