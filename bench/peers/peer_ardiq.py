"""ArdiQ (a Rust core): results kept, as always; 200 at once, 400 prefetched, uvloop."""

import os

import recorder
import uvloop
from ardiq import Ardiq

app = Ardiq(redis_url=os.environ["BENCH_URL"], queue_name="bench", concurrency=200, prefetch=400)


@app.task()
async def noop(number: int) -> int:
    recorder.hit()
    return number


async def setup():
    pass


async def send_many(numbers):
    await app.enqueue_many([noop.prepare(number) for number in numbers])


async def close():
    pass


if __name__ == "__main__":
    uvloop.run(app.run())
