"""The bare SDK doing what a worker's calls do: one streamed call after another, many at once. Prints JSON.

Run by `bench.worker` as a process of its own, so that its CPU is its own.
"""

import asyncio
import json
import resource
import sys

import uvloop
from anthropic import AsyncAnthropic

WARM_CALLS = 20


async def measure(url: str, at_once: int, rounds: int) -> dict[str, float]:
    client = AsyncAnthropic(api_key="bench", base_url=url, max_retries=0)

    async def call() -> None:
        async with client.messages.stream(
            model="claude-haiku-5-5", max_tokens=300, messages=[{"role": "user", "content": "Say something."}]
        ) as stream:
            await stream.get_final_message()

    async def caller(number: int) -> None:
        await asyncio.sleep(2.0 * number / at_once)  # spread over a call's duration, as tasks are
        for _ in range(rounds):
            await call()

    await asyncio.gather(*(call() for _ in range(WARM_CALLS)))
    before = resource.getrusage(resource.RUSAGE_SELF)
    await asyncio.gather(*map(caller, range(at_once)))
    after = resource.getrusage(resource.RUSAGE_SELF)
    await client.close()
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu_ms_per_call": 1_000 * seconds / (at_once * rounds)}


if __name__ == "__main__":
    url, at_once, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(uvloop.run(measure(url, at_once, rounds))))
