"""SAQ: results kept for an hour, 100 at once, 100 Redis operations at once, uvloop."""

import asyncio
import os

import recorder
import redis.asyncio
import uvloop
from saq import Worker
from saq.queue.redis import RedisQueue

queue = RedisQueue(redis.asyncio.from_url(os.environ["BENCH_URL"]), max_concurrent_ops=100)


async def noop(ctx, *, number):
    recorder.hit()
    return number


async def setup():
    await queue.connect()


async def send_many(numbers):
    await asyncio.gather(*[queue.enqueue("noop", number=number, ttl=3600) for number in numbers])


async def close():
    await queue.disconnect()


async def work():
    await queue.connect()
    await Worker(queue, [noop], concurrency=100).start()


if __name__ == "__main__":
    uvloop.run(work())
