"""What counts of what users' code raised, and in which words."""

import asyncio

import pytest

from agentfleet_core.errors import HandlerFailed, InvalidInput
from agentfleet_core.queue.envelope import Claim, Envelope, SettleKind
from agentfleet_core.queue.reasons import AttemptReason
from agentfleet_worker.attempt.guard import Guarded
from agentfleet_worker.attempt.outcomes import (
    AttemptLost,
    AttemptStopped,
    Ending,
    fail,
    of_exception,
    park,
    retry,
    settlement,
)
from agentfleet_worker.attempt.raised import counting
from agentfleet_worker.attempt.words import legible

PARKED = AttemptStopped(park(AttemptReason.PAUSED, "fleet is paused", not_before_ms=7))
TIMED_OUT = AttemptStopped(retry(AttemptReason.STEP_TIMEOUT, "step slow did not end"))
LOST = AttemptLost()
BROKEN = ValueError("broken")


@pytest.mark.parametrize(
    ("raised", "counts"),
    [
        (BROKEN, BROKEN),
        (BaseExceptionGroup("two calls", [PARKED, TIMED_OUT]), PARKED),
        (BaseExceptionGroup("beside a bug", [BROKEN, TIMED_OUT]), TIMED_OUT),
        (BaseExceptionGroup("outer", [BROKEN, BaseExceptionGroup("inner", [BROKEN, LOST]), PARKED]), LOST),
        (ExceptionGroup("outer", [ExceptionGroup("inner", [BROKEN]), KeyError("later")]), BROKEN),
    ],
)
def test_of_a_group_one_error_counts(raised: BaseException, counts: BaseException) -> None:
    assert counting(raised) is counts


def test_a_group_of_any_depth_is_read() -> None:
    deep: Exception = BROKEN
    for _ in range(5_000):
        deep = ExceptionGroup("deeper", [deep])
    assert counting(deep) is BROKEN


def test_text_that_utf8_cannot_say_is_told_in_escapes() -> None:
    assert legible("caf\u00e9") == "caf\u00e9"
    assert legible("bad \ud800!") == r"bad \ud800!"


@pytest.mark.parametrize(
    "ending",
    [
        of_exception(HandlerFailed("\ud800")),
        fail(AttemptReason.INPUT_REFUSED, "no", InvalidInput("\ud800", field="\udfff")),
        retry(AttemptReason.STEP_TIMEOUT, "\ud800", step="\ud800"),
        park(AttemptReason.TYPE_UNKNOWN, "\ud800", not_before_ms=7),
    ],
)
def test_every_ending_can_be_written(ending: Ending) -> None:
    envelope = Envelope("p.01kavqz8s3h6x2m4n7p9q1r5t8", "acme", "greet", 50, "r1", "fast", "", b"{}")
    made = settlement(Claim(envelope, 2, 0, 1, 2, 0, 3, {}), ending)
    assert made.kind in SettleKind
    assert b"\\ud" in made.error + made.reason.encode()


async def test_a_guarded_coroutine_is_awaited_cancelled_and_closed_like_the_one_inside() -> None:
    seen: list[str] = []

    async def wait() -> str:
        try:
            await asyncio.sleep(0)
            seen.append("waited")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise
        return "never"

    begun = asyncio.get_running_loop().create_task(Guarded(wait()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    begun.cancel()
    never_begun = asyncio.get_running_loop().create_task(Guarded(wait()))
    never_begun.cancel()
    results = await asyncio.gather(begun, never_begun, return_exceptions=True)
    assert [type(result) for result in results] == [asyncio.CancelledError] * 2
    assert seen == ["waited", "cancelled"]


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt()])
async def test_what_would_end_the_process_fails_its_task(error: BaseException) -> None:
    async def end() -> None:
        await asyncio.sleep(0)
        raise error

    task = asyncio.get_running_loop().create_task(Guarded(end()))
    with pytest.raises(HandlerFailed, match="it cannot end a worker") as failed:
        await task
    assert failed.value.__cause__ is error
