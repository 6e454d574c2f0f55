"""What a scrape of `/metrics` says, by the declarations in telemetry/metrics.py."""

from collections.abc import Mapping
from typing import Any

import httpx
from prometheus_client import Counter, Histogram
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from agentfleet_core.telemetry import metrics

DECLARED = {each._name: each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)}
Values = Mapping[tuple[str, ...], Any]
"""Label values, as declared, to the value, or what equals it; of a histogram, how often it was observed."""


class Scrape:
    def __init__(self, text: str) -> None:
        families = text_string_to_metric_families(text)
        self._samples = [sample for family in families for sample in family.samples]

    def values(self, name: str, ending: str | None = None) -> dict[tuple[str, ...], float]:
        metric = DECLARED[name]
        if ending is None:
            ending = "_total" if isinstance(metric, Counter) else ""
            ending = "_count" if isinstance(metric, Histogram) else ending
        return {
            tuple(sample.labels[label] for label in metric._labelnames): sample.value
            for sample in self._samples
            if sample.name == name + ending
        }

    def grown_since(
        self, before: "Scrape", name: str, ending: str | None = None
    ) -> dict[tuple[str, ...], float]:
        """What counted meanwhile; of a gauge, where it stands now."""
        now, then = self.values(name, ending), before.values(name, ending)
        if not isinstance(DECLARED[name], Counter | Histogram):
            return now
        return {key: value - then.get(key, 0) for key, value in now.items() if value != then.get(key, 0)}


async def scrape(url: str) -> Scrape:
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.get(f"{url}/metrics")
        assert answer.headers["content-type"] == metrics.CONTENT_TYPE
        return Scrape(answer.raise_for_status().text)
