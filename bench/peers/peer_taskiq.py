"""taskiq on Redis streams: results kept for an hour; 500 at once and prefetched (by arguments)."""

import asyncio
import os

import recorder
from taskiq_redis import RedisAsyncResultBackend, RedisStreamBroker

URL = os.environ["BENCH_URL"]
broker = RedisStreamBroker(URL).with_result_backend(RedisAsyncResultBackend(URL, result_ex_time=3600))


@broker.task
async def noop(number: int) -> int:
    recorder.hit()
    return number


async def setup():
    await broker.startup()


async def send_many(numbers):
    await asyncio.gather(*[noop.kiq(number) for number in numbers])


async def close():
    await broker.shutdown()
