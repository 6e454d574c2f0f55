"""Dramatiq: results kept for an hour, no other middleware, two threads, prefetch 200 (by environment)."""

import os

import dramatiq
import recorder
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

BLOCKING = True
URL = os.environ["BENCH_URL"]
broker = RedisBroker(
    url=URL, middleware=[Results(backend=RedisBackend(url=URL), store_results=True, result_ttl=3_600_000)]
)
dramatiq.set_broker(broker)


@dramatiq.actor
def noop(number):
    recorder.hit()
    return number


def send_many(numbers):
    for number in numbers:
        noop.send(number)
