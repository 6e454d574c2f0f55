"""Celery: results in Redis for an hour, one child process, prefetch 64; no gossip, mingle or heartbeat."""

import os

import recorder
from celery import Celery

BLOCKING = True
URL = os.environ["BENCH_URL"]
app = Celery("bench", broker=URL, backend=URL)
app.conf.update(result_expires=3600, worker_disable_rate_limits=True, worker_prefetch_multiplier=64)


@app.task(name="noop")
def noop(number):
    recorder.hit()
    return number


def send_many(numbers):
    with app.producer_pool.acquire(block=True) as producer:
        for number in numbers:
            noop.apply_async((number,), producer=producer)
