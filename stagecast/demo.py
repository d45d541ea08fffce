"""The main job on real data: import, train, promote, evaluate, score, in one sitting."""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import duckdb

from features.errors import StagecastError
from serving.batch import score
from stagecast.commands.runs import show_evaluation
from stagecast.complete_journey import import_complete_journey
from stagecast.configuration import Configuration, load_configuration
from stagecast.releases import find_release
from stagecast.terminal import Terminal
from training.evaluate import evaluate
from training.promote import promote
from training.track import Tracking
from training.train import train

__all__ = ["main"]

_AS_OF: Final = "2017-10-01"

_SHOWN: Final = """
    select user_id, brand_id, stage, p_purchase_7d, p_purchase_30d, p_purchase_60d,
           p_lapse_30d, expected_value_30d
    from read_parquet($path)
    -- Ten pairs spread evenly from the most to the least likely.
    qualify row_number() over (order by p_purchase_30d desc, user_id, brand_id)
        in (select 1 + cast(pow(i / 9.0, 2.5) * (n - 1) as bigint) from range(10) t(i),
            (select count(*) n from read_parquet($path)))
    order by p_purchase_30d desc, user_id, brand_id
"""


def main() -> None:
    """Run the demo in a folder (default: ./demo)."""
    parser = argparse.ArgumentParser(description="The main job on the Complete Journey log.")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    terminal = Terminal(as_json=False)
    try:
        _demo(parser.parse_args().out, terminal)
    except StagecastError as error:
        sys.stderr.write(f"stagecast demo: {error}\n")
        sys.exit(2)


def _demo(out: Path, terminal: Terminal) -> None:
    began = time.monotonic()
    with terminal.progress("Importing the Complete Journey") as progress:
        _import(out, terminal, progress)
        configuration = load_configuration(out / "stagecast.toml")
        name = _learn(configuration, terminal, progress)
        _judge(configuration, name, terminal, progress)
        scores = _score(configuration, name, terminal, progress)
    _close(configuration, scores, terminal, time.monotonic() - began)


def _import(out: Path, terminal: Terminal, progress: Callable[[str], None]) -> None:
    terminal.say("1. What goes in", "")
    if (out / "stagecast.toml").exists():
        terminal.say(f"The log of an earlier demo, in {out}.", "")
        return
    log = import_complete_journey(out, progress=progress)
    terminal.say(
        "A grocer's year 2017, as real as it gets: the Complete Journey by 84.51°. Households are "
        "users, manufacturers are brands.",
        f"{log.rows:,} events of {log.users:,} users and {log.brands:,} brands: "
        f"{log.kinds['purchase']:,} purchases, {log.kinds['impression']:,} impressions by mailer, "
        f"display and campaign, {log.kinds['coupon_claim']:,} coupons.",
        "",
    )


def _learn(
    configuration: Configuration, terminal: Terminal, progress: Callable[[str], None]
) -> str:
    terminal.say("2. What is learnt", "")
    settings = configuration.settings
    instant = configuration.instant(_AS_OF)
    result = train(configuration.dataset, settings.forecast, settings.tracking, instant, progress)
    facts = result.facts
    terminal.say(
        f"From the nine months before {_AS_OF} and nothing after: {facts['moments']:,} moments "
        f"of {facts['users']:,} users and {facts['brands']:,} brands; at each, what was known then "
        "and what came next.",
        f"Three models of LightGBM's trees say when a pair buys, which stage comes next and which "
        f"is held; a fourth says for how much. Hazards are learnt between {facts['edges']} days.",
    )
    tracking = Tracking(settings.tracking, configuration.folder)
    promotion = promote(
        configuration.dataset, tracking, configuration.releases, result.run, None, progress
    )
    passed = sum(question.passed for question in promotion.gate.questions)
    terminal.say(
        f"The gate: {passed} of {len(promotion.gate.questions)} questions passed. Release "
        f"{promotion.release} is " + ("the champion." if promotion.promoted else "NOT promoted."),
        "",
    )
    return promotion.release if promotion.promoted else result.run


def _judge(
    configuration: Configuration, name: str, terminal: Terminal, progress: Callable[[str], None]
) -> None:
    terminal.say("3. How good it is", "")
    pairs = configuration.folder / "pairs.parquet"
    result = evaluate(
        configuration.dataset,
        find_release(configuration, name),
        configuration.instant(_AS_OF),
        configuration.settings.forecast.horizons,
        pairs,
        progress,
    )
    terminal.say(
        f"All {result.pairs:,} pairs that had bought before {_AS_OF}, and what they did after it."
    )
    show_evaluation(terminal, result.evaluation, "")
    terminal.say(
        "AUC: is a buyer ranked above a non-buyer? AP: how clean is the top of the list? Log loss "
        "and Brier: how far off are the probabilities (less is better)? Σp / Σy: buyers foretold "
        "over buyers who came; 1 is perfect, since bids multiply p by money. The base rate is the "
        "stage's; recency-frequency is a logistic regression on six plain counts and days.",
        "",
    )


def _score(
    configuration: Configuration, name: str, terminal: Terminal, progress: Callable[[str], None]
) -> Path:
    terminal.say("4. Ten forecasts, from the most to the least likely buyer", "")
    instant = configuration.instant(_AS_OF)
    path = configuration.folder / configuration.settings.scores.path / f"{_AS_OF}.parquet"
    horizons = configuration.settings.forecast.horizons
    release = find_release(configuration, name)
    score(configuration.dataset, release, instant, horizons, path, None, progress)
    rows = duckdb.execute(_SHOWN, {"path": str(path)}).fetchall()
    terminal.table(
        "",
        [
            "user",
            "brand",
            "stage",
            "buys in 7 days",
            "in 30",
            "in 60",
            "lapses in 30",
            "spends in 30",
        ],
        [(*row[:3], *(f"{p:.1%}" for p in row[3:7]), f"${row[7]:,.2f}") for row in rows],
        left=3,
    )
    terminal.say("")
    return path


def _close(configuration: Configuration, scores: Path, terminal: Terminal, seconds: float) -> None:
    folder, config = configuration.path.parent, configuration.path
    terminal.say(
        f"5. Where it lies (it took {seconds / 60:.1f} minutes)",
        "",
        f"  forecasts of all pairs   {folder / scores.relative_to(configuration.folder)}",
        f"  releases                 {folder / configuration.settings.releases.path}",
        f"  runs, scores, pictures   .venv/bin/mlflow ui --backend-store-uri "
        f"sqlite:///{folder / 'mlflow.db'}",
        "",
        "6. What to try next",
        "",
        f"  .venv/bin/stagecast crowd {config} --as-of {_AS_OF}",
        f"  .venv/bin/stagecast console {config}      # needs make setup-all",
        f"  .venv/bin/stagecast score {config} --as-of 2017-11-15 --horizons 7,21",
        f"  .venv/bin/stagecast ingest {config} {folder / 'events.parquet'}",
        f"  .venv/bin/stagecast serve {config}",
    )


if __name__ == "__main__":
    main()
