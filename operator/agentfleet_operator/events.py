"""Kubernetes Events of the operator's own: on a change, with the same reason words as everywhere else.

An event is news, not state: the same one is not told twice in a while, and one that cannot be written is
dropped.
"""

import asyncio
import logging
import uuid
from collections import deque
from datetime import UTC, datetime, timedelta

from agentfleet_core.api.v1alpha1 import API_VERSION
from agentfleet_core.errors import AgentfleetError
from agentfleet_operator.apply import Writer
from agentfleet_operator.kube import FIELD_MANAGER, Json
from agentfleet_operator.news import News

log = logging.getLogger(__name__)

QUIET = timedelta(minutes=10)
"""How long the same news of the same object is not repeated."""
MOST_WAITING = 1_000
MOST_REMEMBERED = 10_000


class Events:
    """`tell` never waits; `run()` beside everything else writes what was told."""

    def __init__(self, writer: Writer, reporter: str) -> None:
        self._writer = writer
        self._reporter = reporter
        self._waiting: deque[News] = deque(maxlen=MOST_WAITING)
        self._told: dict[tuple[str, str, str], datetime] = {}
        self._bell = asyncio.Event()

    def tell(self, news: News) -> None:
        if not news.repeats and not self._is_new(news):
            return
        self._waiting.append(news)
        self._bell.set()

    async def run(self) -> None:
        while True:
            await self._bell.wait()
            self._bell.clear()
            while self._waiting:
                await self._write(self._waiting.popleft())

    async def _write(self, news: News) -> None:
        try:
            await self._writer.event(news.subject.namespace, event(news, self._reporter, datetime.now(UTC)))
        except AgentfleetError as error:
            log.warning("an event was not written: %s", error, extra={"reason": news.reason})

    def _is_new(self, news: News) -> bool:
        now = datetime.now(UTC)
        key = (news.subject.uid, news.reason, news.text)
        last = self._told.get(key)
        if last is not None and now - last < QUIET:
            return False
        if len(self._told) >= MOST_REMEMBERED:
            self._told = {one: at for one, at in self._told.items() if now - at < QUIET}
        self._told[key] = now
        return True


def event(news: News, reporter: str, now: datetime) -> Json:
    """PURE but for its name, which must be unique."""
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    subject = news.subject
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{subject.name}.{uuid.uuid4().hex[:16]}", "namespace": subject.namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": subject.kind,
            "namespace": subject.namespace,
            "name": subject.name,
            "uid": subject.uid,
        },
        "type": news.type,
        "reason": news.reason,
        "message": news.text[:1024],
        "action": news.reason,
        "count": 1,
        "firstTimestamp": stamp,
        "lastTimestamp": stamp,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "reportingInstance": reporter[:128],
    }
