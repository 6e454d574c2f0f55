"""arq: results kept for an hour, 100 at once, a poll each 5 ms, 500 ids a read, uvloop."""

import asyncio
import os

import recorder
import uvloop
from arq import Worker, create_pool
from arq.connections import RedisSettings

SETTINGS = RedisSettings.from_dsn(os.environ["BENCH_URL"])


async def noop(ctx, number):
    recorder.hit()
    return number


async def setup():
    global pool
    pool = await create_pool(SETTINGS)


async def send_many(numbers):
    await asyncio.gather(*[pool.enqueue_job("noop", number) for number in numbers])


async def close():
    await pool.aclose()


if __name__ == "__main__":
    asyncio.set_event_loop(uvloop.new_event_loop())
    Worker(
        [noop],
        redis_settings=SETTINGS,
        max_jobs=100,
        poll_delay=0.005,
        keep_result=3600,
        queue_read_limit=500,
    ).run()
