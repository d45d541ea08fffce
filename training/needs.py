"""Needs: what is missing before a horizon can be learnt, in sentences."""

from collections.abc import Iterator, Sequence

from training.evidence import Evidence, History, HorizonEvidence

__all__ = ["needs_of_all", "needs_of_category"]


def needs_of_all(everyone: Evidence, history: History) -> Iterator[str]:
    """Yield what the configured horizons lack over all pairs together."""
    few = [found for found in everyone.horizons if found.permits == "prior"]
    if few:
        nothing = "there is no purchase at all: " * (not everyone.counts.purchases)
        yield f"{nothing}{_purchases(few)}; until then forecasts lean on base rates"
    for found in everyone.horizons:
        if found.permits == "last rate":
            yield f"{_days(found)}; {_goes_on(history)}"


def needs_of_category(one: Evidence, everyone: Evidence, history: History) -> Iterator[str]:
    """Yield what a category lacks of purchases, and its own decision cycle of days.

    What all pairs together lack is left out.
    """
    place = f"in {one.category or 'brands without a category'}"
    common = {found.horizon_days for found in everyone.horizons if found.permits != "learnt"}
    own = [found for found in one.horizons if found.horizon_days not in common]
    few = [found for found in own if found.permits == "prior"]
    if few:
        yield f"{_purchases(few, place)}; until then the category's prior answers"
    for found in own:
        if found.permits == "last rate":
            yield f"{_days(found, place)}; {_goes_on(history)}"
        elif found.permits == "nothing":
            yield (
                f"{_listed([found], place)}, its decision cycle, lies beyond max_horizon = "
                f"{history.max_horizon}; raise it in [forecast] to get forecasts there"
            )


def _goes_on(history: History) -> str:
    return f"until then the rate up to day {history.edges[-1]} goes on"


def _purchases(few: Sequence[HorizonEvidence], place: str = "") -> str:
    """Say what is missing for the horizons that lack most; that is enough for the others, too."""
    most = max(found.more_purchases for found in few)
    worst = [found for found in few if found.more_purchases == most]
    others = [found for found in few if found.more_purchases < most]
    days = worst[0].more_days
    need = f"{_more(most, 'purchase')} {_are(most)} needed"
    if days is not None:
        need = f"{_more(most, 'purchase')} or {_more(days, 'day')} are needed"
    aside = [f"fewer for {_listed(others)}"] if others else []
    aside += ["of late no pair bought that had met before"] * (days is None)
    said = f" ({'; '.join(aside)})" if aside else ""
    return f"{need} for {_listed(worst, place)}{said}"


def _days(found: HorizonEvidence, place: str = "") -> str:
    """Say which days are missing, and purchases where these would not come in them."""
    older = found.more_history or 0
    if not found.more_purchases or found.more_days == older:
        need = f"{_more(older, 'day')} of history {_are(older)} needed"
    else:
        days = found.more_days or older
        need = f"{_more(found.more_purchases, 'purchase')} and {_more(days, 'day')} are needed"
    return f"{need} for {_listed([found], place)}"


def _more(count: int, what: str) -> str:
    return f"{count:,} more {what}{'s' * (count != 1)}"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _listed(found: Sequence[HorizonEvidence], place: str = "") -> str:
    """Return ``x = 7, 14 and 30 in milk_tea``."""
    *others, last = (str(one.horizon_days) for one in found)
    days = f"{', '.join(others)} and {last}" if others else last
    return f"x = {days} {place}".rstrip()
