"""What the command `roi` shows to people: tables of returns, of a holdout, of a backtest."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from stagecast.configuration import Configuration
from stagecast.terminal import Terminal

if TYPE_CHECKING:
    from serving.crowd.roi import CampaignReturn
    from serving.crowd.roi_backtest import BacktestRow
    from serving.crowd.roi_groups import BreakEven, GroupReturn
    from serving.crowd.roi_holdout import Difference, HoldoutResult

__all__ = ["show_backtest", "show_holdout", "show_return"]

_DAYS: Final = (1, 3, 7, 14, 29, 60, 70, 90)


def show_return(terminal: Terminal, configuration: Configuration, result: "CampaignReturn") -> None:
    """Show a campaign's return, as a whole, by channel, by stage and by day."""
    campaign, whole, x = result.campaign, result.everyone, result.horizon
    days = len(result.by_calendar) - 1
    terminal.say(
        f"Campaign {campaign.name}: T = {configuration.day(campaign.begun)}, today is T+{days}; "
        f"x = {x} days",
        f"{len(set(campaign.users.tolist())):,} users touched, {whole.pairs:,} pairs with "
        f"{len(campaign.brand_ids):,} brand{'s' * (len(campaign.brand_ids) != 1)}; for "
        f"{whole.over:,} of them x is over",
        "",
    )
    rows = [("all", whole)]
    rows += [(f"channel {group.name}", group) for group in result.channels]
    rows += [(f"stage {group.name}", group) for group in result.stages]
    terminal.table(
        f"Sales after a touch, up to T+{x} of each pair",
        ["pairs", "n", "buyers", "orders", "sales so far", f"at T+{x}", "ROI", "cost is back"],
        [(name, *_cells(group)) for name, group in rows],
    )
    terminal.say("")
    if whole.sales is not None:
        _show_path(terminal, result)
    if result.cost_unknown:
        terminal.say(f"ROI is not known: {result.cost_unknown}.")
    terminal.say(
        "Sales after a touch are not sales because of it; only a holdout can tell these.",
    )


def _cells(group: "GroupReturn") -> list[str]:
    forecast, gain, back = group.forecast, group.roi, group.break_even
    return [
        f"{group.pairs:,}",
        f"{group.buyers:,}",
        f"{group.orders:,}",
        "-" if group.sales is None else f"{group.sales:,.0f}",
        "-"
        if forecast is None
        else f"{forecast.value:,.0f} ({forecast.low:,.0f} to {forecast.high:,.0f})",
        "-" if gain is None else f"{gain.value:+.0%} ({gain.low:+.0%} to {gain.high:+.0%})",
        _back(group, back),
    ]


def _back(group: "GroupReturn", back: "BreakEven | None") -> str:
    if not group.cost or group.sales is None:
        return "-"
    if back is None:
        return "not by then"
    day, observed = back
    return f"at T+{day}" if observed else f"at T+{day}, expected"


def _show_path(terminal: Terminal, result: "CampaignReturn") -> None:
    whole, x = result.everyone, result.horizon
    days = sorted({*(day for day in _DAYS if day < x), x})
    calendar = result.by_calendar
    terminal.table(
        "By day",
        ["k", "by T+k so far", "by T+k expected", "by the calendar"],
        [
            (
                f"{day}",
                f"{whole.observed[day]:,.0f}",
                f"{whole.path[day]:,.0f}",
                f"{calendar[day]:,.0f}" if day < len(calendar) else "-",
            )
            for day in days
        ],
    )
    terminal.say(
        "k counts from each pair's first touch; by the calendar, from the campaign's first.", ""
    )


def show_holdout(terminal: Terminal, found: "HoldoutResult") -> None:
    """Show touched users beside those whom nobody touched."""
    rows = [("buyers per user", found.buyers)]
    if found.sales:
        rows.insert(0, ("sales per user", found.sales))
    terminal.table(
        f"Beside a holdout, {found.days:.0f} days after the campaign began: "
        f"{found.touched_users:,} users touched, {found.held_out_users:,} held out",
        ["what", "touched", "held out", "difference, 95 % (Welch)", "lift"],
        [(what, *_difference(one)) for what, one in rows],
    )


def _difference(one: "Difference") -> Sequence[str]:
    lift = "-" if one.lift is None else f"{one.lift:+.0%}"
    ends = f"{one.value:+.4f} ({one.low:+.4f} to {one.high:+.4f})"
    return f"{one.touched:.4f}", f"{one.held_out:.4f}", ends, lift


def show_backtest(terminal: Terminal, rows: "Sequence[BacktestRow]", release: str) -> None:
    """Show forecasts beside what came."""
    terminal.table(
        f"Forecasts at T+7 by release {release}, and what came",
        ["campaign", "pairs", "at", "so far", "forecast, 95 %", "came", "error", "within"],
        [
            (
                row.campaign,
                f"{row.pairs:,}",
                f"T+{row.horizon}",
                f"{row.so_far:,.0f}",
                f"{row.forecast:,.0f} ({row.low:,.0f} to {row.high:,.0f})",
                f"{row.came:,.0f}",
                "-" if row.error is None else f"{row.error:+.0%}",
                "yes" if row.within else "no",
            )
            for row in rows
        ],
    )
    held = sum(row.within for row in rows)
    terminal.say("", f"{held:,} of {len(rows):,} intervals held what came.")
