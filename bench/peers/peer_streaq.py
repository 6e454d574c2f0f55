"""streaq: results kept for an hour, 256 at once and prefetched, silent, uvloop."""

import os

import recorder
from streaq import Worker

worker = Worker(
    redis_url=os.environ["BENCH_URL"], concurrency=256, prefetch=256, anyio_kwargs={"use_uvloop": True}
)


@worker.task(silent=True, ttl=3600)
async def noop(number: int) -> int:
    recorder.hit()
    return number


async def setup():
    await worker.__aenter__()


async def send_many(numbers):
    await worker.enqueue_many([noop.enqueue(number) for number in numbers])


async def close():
    await worker.__aexit__(None, None, None)
