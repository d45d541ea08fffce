"""Turns: work waits for its turn, in order, and what would come too late is sent away."""

import asyncio
import time

import pytest

from features.errors import BusyError
from serving.turns import Turns

LONG = 60.0


def busy_for(seconds, told, name):
    def work():
        end = time.perf_counter() + seconds
        while time.perf_counter() < end:
            pass
        told.append(name)
        return name

    return work


def test_work_is_done_in_the_order_in_which_it_came():
    async def run():
        turns, told = Turns(), []
        found = await asyncio.gather(
            *(turns.take(busy_for(0.001, told, i), 1, LONG) for i in range(50))
        )
        assert found == told == list(range(50))

    asyncio.run(run())


def test_what_would_come_after_its_deadline_is_sent_away_at_once():
    async def run():
        turns, told = Turns(), []
        for i in range(60):
            await turns.take(busy_for(0.005, told, i), 1, LONG)
            await asyncio.sleep(0)
        began = time.perf_counter()
        every = [asyncio.create_task(turns.take(busy_for(0.005, told, i), 1, 0.05))
                 for i in range(200)]  # fmt: skip
        done = await asyncio.gather(*every, return_exceptions=True)
        refused = [one for one in done if isinstance(one, BusyError)]
        # About ten pieces fit into the time; the rest did not wait for them.
        assert 180 <= len(refused) < 200
        assert refused[0].seconds == 1
        assert time.perf_counter() - began < 1

    asyncio.run(run())


def test_what_has_waited_beyond_its_deadline_is_not_begun():
    async def run():
        turns, told = Turns(), []
        first = asyncio.create_task(turns.take(busy_for(0.1, told, "first"), 1, LONG))
        late = asyncio.create_task(turns.take(busy_for(0, told, "late"), 10_000, 0.01))
        await asyncio.sleep(0)
        # The first piece has taught how long a row takes; this one is let in before it is known.
        assert await first == "first"
        with pytest.raises(BusyError):
            await late
        assert told == ["first"]

    asyncio.run(run())


def test_the_loop_looks_elsewhere_between_two_pieces():
    async def run():
        turns, told = Turns(), []

        async def somebody_else():
            for _ in range(5):
                told.append("else")
                await asyncio.sleep(0)

        work = [turns.take(busy_for(0.001, told, "work"), 1, LONG) for _ in range(5)]
        await asyncio.gather(*work, somebody_else())
        assert "work else work" in " ".join(told)

    asyncio.run(run())


def test_who_left_is_passed_over():
    async def run():
        turns, told = Turns(), []
        tasks = [asyncio.create_task(turns.take(busy_for(0, told, i), 1, LONG)) for i in range(4)]
        await asyncio.sleep(0)
        tasks[2].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert told == [0, 1, 3]
        assert await turns.take(busy_for(0, told, 4), 1, LONG) == 4

    asyncio.run(run())


def test_an_error_reaches_whoever_asked_and_nobody_else():
    def fail():
        raise ValueError("mine")

    async def run():
        turns, told = Turns(), []
        found = await asyncio.gather(
            turns.take(fail, 1, LONG), turns.take(busy_for(0, told, 1), 1, LONG),
            turns.take(fail, 1, LONG), turns.take(busy_for(0, told, 2), 1, LONG),
            return_exceptions=True,
        )  # fmt: skip
        assert [str(one) for one in found] == ["mine", "1", "mine", "2"]

    asyncio.run(run())
