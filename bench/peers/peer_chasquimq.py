"""ChasquiMQ (a Rust engine; it keeps no results): 200 at once, 500 a read, no events, uvloop."""

import os

import recorder
import uvloop
from chasquimq import Queue, Worker

URL = os.environ["BENCH_URL"]


async def noop(job):
    recorder.hit()


async def setup():
    global queue
    queue = Queue("bench", redis_url=URL)


async def send_many(numbers):
    await queue.add_bulk([{"name": "noop", "data": [number]} for number in numbers])


async def close():
    await queue.close()


async def work():
    await Worker("bench", noop, redis_url=URL, concurrency=200, events_enabled=False, read_count=500).run()


if __name__ == "__main__":
    uvloop.run(work())
