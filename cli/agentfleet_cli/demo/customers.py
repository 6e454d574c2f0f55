"""The customers: submits the example's requests one after the other, as they would come in."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agentfleet.async_client import AsyncClient
from agentfleet_cli.submissions import Line, read_lines

APART_SECONDS = 0.2


@dataclass(slots=True)
class Customers:
    """`sent` grows while `send` runs."""

    lines: Sequence[Line]
    clients: Mapping[str, AsyncClient]
    """By tenant."""
    sent: list[tuple[str, str]] = field(default_factory=list)
    """Tenant and task id."""

    @property
    def done(self) -> bool:
        return len(self.sent) == len(self.lines)

    async def send(self) -> None:
        loop = asyncio.get_running_loop()
        start = loop.time()
        for number, line in enumerate(self.lines):
            await asyncio.sleep(max(0.0, start + number * APART_SECONDS - loop.time()))
            request, tenant = line.request, line.tenant or min(self.clients)
            task = await self.clients[tenant].submit(
                request.type, request.input, labels=request.labels, pool=request.pool
            )
            self.sent.append((tenant, task.id))


def load(path: Path) -> list[Line]:
    return read_lines(path.read_text().splitlines())
