"""One timer for all deadlines: each is told once, when its time has come, and not after it was met."""

import asyncio

import pytest

from agentfleet_worker.attempt.deadlines import Deadlines, within


@pytest.fixture
async def deadlines() -> Deadlines:
    return Deadlines(asyncio.get_running_loop())


async def test_what_ends_in_time_is_left_alone(deadlines: Deadlines) -> None:
    with within(deadlines, 5.0):
        await asyncio.sleep(0)
    assert len(deadlines) == 0


async def test_what_does_not_is_cancelled(deadlines: Deadlines) -> None:
    with pytest.raises(TimeoutError), within(deadlines, 0.01):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_the_inner_deadline_does_not_end_the_outer_block(deadlines: Deadlines) -> None:
    with within(deadlines, 5.0):
        with pytest.raises(TimeoutError), within(deadlines, 0.01):
            await asyncio.Event().wait()
        await asyncio.sleep(0)


async def test_a_cancel_from_outside_stays_one(deadlines: Deadlines) -> None:
    started = asyncio.Event()

    async def work() -> None:
        with within(deadlines, 5.0):
            started.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_error_at_the_deadline_is_not_hidden(deadlines: Deadlines) -> None:
    async def fail_at_the_deadline() -> None:
        with within(deadlines, 0.01):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise KeyError from None

    with pytest.raises(KeyError):
        await fail_at_the_deadline()


async def test_each_deadline_is_told_once_and_in_no_set_afterwards(deadlines: Deadlines) -> None:
    told: list[int] = []
    loop = asyncio.get_running_loop()
    all_told = asyncio.Event()

    def tell(number: int) -> None:
        told.append(number)
        if len(told) == 3:
            all_told.set()

    for number in range(3):
        deadlines.add(loop.time() + 0.01 * number, lambda number=number: tell(number))  # type: ignore[misc]  # a default argument binds the number
    met = deadlines.add(loop.time(), lambda: tell(9))
    deadlines.remove(met)
    await all_told.wait()
    assert told == [0, 1, 2]
    assert len(deadlines) == 0
