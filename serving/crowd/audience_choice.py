"""Choices: what an audience's rules ask of the scored pairs, as a question to DuckDB."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa

from features.errors import ConfigError
from features.users import attribute_column
from serving.crowd.audience_crowd import TIERS, Crowd, rows_sql
from serving.crowd.audience_rules import AudienceRules
from serving.crowd.scored_pairs import ScoredPairs

__all__ = ["EXCLUDED", "NOBODY", "ORDER", "Chosen", "chosen"]

EXCLUDED: Final = "who are in no excluded list"
"""The condition that exclusions make, in words."""

ORDER: Final = "p DESC, user"
"""The likeliest first, and of the equally likely by the text of the id."""

NOBODY: Final = pa.table({"user": pa.array([], pa.string())})

_TIER: Final = "CASE WHEN p >= $core THEN '{}' WHEN p >= $likely THEN '{}' ELSE '{}' END".format(
    *TIERS
)
_SHOWN: Final = 8


@dataclass(frozen=True)
class Chosen:
    """The question to DuckDB that gives an audience's rows, and what it needs.

    Its rows are ``user_id, user, stage, p, value, tier``, in no order.
    """

    rules: AudienceRules
    conditions: Mapping[str, str]
    base: str
    sql: str
    values: Mapping[str, Any]
    excluded: pa.Table

    def ask(self, pairs: ScoredPairs, sql: str) -> Any:
        """Ask something of ``chosen``, the rows, or of ``asked``, the crowd with its conditions."""
        question, tables = self._question(sql)
        return pairs.ask(question, tables, **self._named(sql))

    def stream(self, pairs: ScoredPairs, sql: str, **values: Any) -> Any:
        """Ask the same, and return a reader of Arrow batches."""
        question, tables = self._question(sql)
        return pairs.stream(question, tables, **self._named(sql), **values)

    def _question(self, sql: str) -> tuple[str, dict[str, pa.Table]]:
        question = f"WITH asked AS ({self.base}), chosen AS ({self.sql}) {sql}"
        return question, {"excluded": self.excluded}

    def _named(self, sql: str) -> dict[str, Any]:
        """Return the values that a question names; DuckDB refuses others."""
        text = self._question(sql)[0]
        return {name: given for name, given in self.values.items() if f"${name}" in text}


def chosen(
    pairs: ScoredPairs, crowd: Crowd, rules: AudienceRules, excluded: pa.Table | None = None
) -> Chosen:
    """Return the rows that rules choose of a crowd.

    Parameters
    ----------
    excluded : ``user``, texts: users who are not to be in it.

    Raises
    ------
    ConfigError
        Where a stage, an attribute or a value of one is not known, or there are no values.
    """
    conditions, values = _conditions(pairs, rules, excluded is not None)
    flags = "".join(f", {sql} AS c{place}" for place, sql in enumerate(conditions.values()))
    base = f"SELECT *{flags} FROM ({rows_sql(rules.horizon)})"
    meets = " AND ".join([f"c{place}" for place in range(len(conditions))] or ["true"])
    cut = "" if rules.most is None else f"ORDER BY {ORDER} LIMIT {rules.most}"
    sql = f"SELECT user_id, user, stage, p, value, {_TIER} AS tier FROM asked WHERE {meets} {cut}"
    table = NOBODY if excluded is None else excluded
    values |= {"brand": rules.brand, "core": crowd.core_from, "likely": crowd.likely_from}
    return Chosen(rules, conditions, base, sql, values, table)


def _conditions(
    pairs: ScoredPairs, rules: AudienceRules, excludes: bool
) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the conditions by their words, in SQL, and the values that they name."""
    found: dict[str, str] = {}
    values: dict[str, Any] = {}
    if rules.stages:
        _check_stages(pairs, rules.stages)
        found[f"at {' or '.join(rules.stages)}"] = "list_contains($stages, stage)"
        values["stages"] = list(rules.stages)
    if rules.min_probability is not None:
        found[f"with a probability from {rules.min_probability:g}"] = "p >= $min_probability"
        values["min_probability"] = rules.min_probability
    if rules.min_value is not None:
        if not pairs.file.has_values:
            raise ConfigError("--min-value: the log has no values, so none are expected.")
        found[f"with an expected value from {rules.min_value:g}"] = "value >= $min_value"
        values["min_value"] = rules.min_value
    for place, (name, (column, given)) in enumerate(_attributes(pairs, rules).items()):
        wanted = f"SELECT user_id FROM described WHERE list_contains($where_{place}, {column})"
        found[f"whose {name} is {' or '.join(map(_written, given))}"] = f"user IN ({wanted})"
        values[f"where_{place}"] = given
    if excludes:
        found[EXCLUDED] = "user NOT IN (SELECT user FROM excluded)"
    if rules.threshold is not None:
        found[f"as likely as {rules.threshold:g}"] = "p >= $threshold"
        values["threshold"] = rules.threshold
    return found, values


def _check_stages(pairs: ScoredPairs, stages: tuple[str, ...]) -> None:
    for stage in stages:
        if stage not in pairs.file.stages:
            raise ConfigError(
                f"--stage: {stage!r} is no stage of {pairs.file.path}; it has "
                f"{', '.join(pairs.file.stages)}."
            )


def _attributes(
    pairs: ScoredPairs, rules: AudienceRules
) -> dict[str, tuple[str, list[float | str]]]:
    """Return column and wanted values by attribute; nothing may be asked that nobody could have."""
    asked: dict[str, list[str]] = {}
    for name, value in rules.where:
        asked.setdefault(name, []).append(value)
    return {name: _attribute(pairs, name, given) for name, given in asked.items()}


def _attribute(pairs: ScoredPairs, name: str, given: list[str]) -> tuple[str, list[float | str]]:
    users = pairs.users
    if users is None:
        raise ConfigError(
            f"--where: {name!r} of whom? The configuration names no users table in [users] path."
        )
    column = attribute_column(name)
    if column not in users.kinds:
        raise ConfigError(
            f"--where: {name!r} is no attribute of the users table; it has "
            f"{', '.join(users.names.values()) or 'none'}."
        )
    quoted = '"' + column.replace('"', '""') + '"'
    wanted = [_number(name, text) if users.kinds[column] == "number" else text for text in given]
    _check_values(pairs, name, quoted, wanted)
    return quoted, wanted


def _check_values(pairs: ScoredPairs, name: str, column: str, wanted: list[float | str]) -> None:
    """Refuse a value that nobody has: it is mistyped more often than meant."""
    rows = pairs.ask(
        f"SELECT {column} FROM described WHERE {column} IS NOT NULL GROUP BY ALL "
        "ORDER BY count(*) DESC, 1"
    ).fetchall()
    known = [value for (value,) in rows]
    for value in wanted:
        if value not in known:
            there = ", ".join(map(_written, known[:_SHOWN])) or "nothing"
            more = ", and others" if len(known) > _SHOWN else ""
            raise ConfigError(
                f"--where: nobody's {name} is {_written(value)!r}; there is {there}{more}."
            )


def _number(name: str, text: str) -> float:
    truths = {"true": 1.0, "false": 0.0}
    try:
        return truths[text.lower()] if text.lower() in truths else float(text)
    except ValueError as error:
        raise ConfigError(f"--where: {name} is a number, and {text!r} is none.") from error


def _written(value: float | str) -> str:
    return f"{value:g}" if isinstance(value, float) else value
