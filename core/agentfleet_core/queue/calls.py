"""A pool's operations as script calls: what goes to Redis, without sending it.

So that one round trip can carry several: a batch of journal entries, settlements and the next claim, or the
submits of several pools.
"""

from collections.abc import Mapping, Sequence

import orjson

from agentfleet_core.errors import InvalidInput
from agentfleet_core.keyspace.keys import FleetKeys, PoolKeys
from agentfleet_core.keyspace.scripts import Arg, Call, load_script
from agentfleet_core.queue.envelope import Envelope, Event, JournalEntry, SettleKind, Settlement
from agentfleet_core.queue.ids import minted_ms
from agentfleet_core.queue.limits import (
    BLOCKED_NAMED,
    MAX_ENTRY_BYTES,
    MAX_EVENT_BYTES,
    MAX_OUTPUT_BYTES,
    MAX_REPORT_LETTERS,
    REPORT_SECONDS,
    bounded,
)
from agentfleet_core.queue.policy import PoolPolicy
from agentfleet_core.queue.records import encode_envelope, encode_limitations, one_line
from agentfleet_core.settings import FleetId

RETENTION_SECONDS = 86_400
"""How long an ended task can be read. An id is admitted only in the first 95 % of this after its minting."""


Write = tuple[JournalEntry | None, Event | None]
"""A step's result with the event that tells of it, both of one attempt, or either alone."""


class PoolCalls:
    """Raises `InvalidInput` for ids of another pool. Sizes are checked by who queues or sends, by the checks
    below: what is too large must fail alone.
    """

    def __init__(self, fleet_id: FleetId, pool: str, *, retention_seconds: int = RETENTION_SECONDS) -> None:
        self.pool = pool
        self.keys = PoolKeys(fleet_id, pool)
        self._tag = (self.keys.tag,)
        self._common: tuple[Arg, ...] = (FleetKeys(fleet_id).signals, pool, retention_seconds)
        self._prefix = f"{pool}."

    def call(self, name: str, *args: Arg) -> Call:
        return Call(load_script(__package__, f"lua/{name}"), self._tag, self._common + args)

    def ulid(self, task_id: str) -> str:
        """The id without its pool, as Redis keeps it."""
        if not task_id.startswith(self._prefix):
            raise InvalidInput(f"task {task_id} is not of pool {self.pool}", field="id")
        return task_id[len(self._prefix) :]

    def submit(self, envelopes: Sequence[Envelope]) -> Call:
        """Replies when each was admitted, ms, or 0 where the id was known already."""
        args: list[Arg] = []
        for envelope in envelopes:
            args += (
                self.ulid(envelope.id),
                minted_ms(envelope.id),
                envelope.tenant,
                envelope.type,
                envelope.priority,
                envelope.revision,
                envelope.expires_after_seconds * 1000,
                envelope.expected_cost,
                envelope.max_attempts,
                envelope.not_before_ms,
                encode_envelope(envelope),
            )
        return self.call("submit", *args)

    def claim(
        self,
        worker: str,
        slots: int,
        *,
        lease_ms: int,
        number: str,
        revisions: Sequence[str],
        paused_tenants: Sequence[str],
        paused_types: Sequence[str],
    ) -> Call:
        types = [f"y:{name}" for name in paused_types]
        args: list[Arg] = [len(revisions), *revisions, *paused_tenants, *types]
        return self.call("claim", worker, slots, lease_ms, number, *args)

    def journal(self, writes: Sequence[Write]) -> Call:
        """Replies for each 1, or 0 where the attempt is stale."""
        args: list[Arg] = []
        for entry, event in writes:
            if entry is not None:
                args += (self.ulid(entry.task_id), entry.attempt, entry.key, entry.cost, entry.value)
                args += (event.type, event.data) if event is not None else ("", "")
            elif event is not None:
                args += (self.ulid(event.task_id), event.attempt, "", 0, "", event.type, event.data)
        return self.call("journal", *args)

    def settle(self, settlements: Sequence[Settlement]) -> Call:
        """Replies `SettleOutcome`s."""
        args: list[Arg] = []
        for settlement in settlements:
            kind = settlement.kind
            args += (
                self.ulid(settlement.task_id),
                settlement.attempt,
                settlement.state if kind is SettleKind.END else kind,
                settlement.output,
                _more(settlement),
            )
        return self.call("settle", *args)

    def extend(self, worker: str, attempts: Mapping[str, int], *, lease_ms: int) -> Call:
        """Replies the ids, without their pool, that are no longer held."""
        args: list[Arg] = [worker, lease_ms]
        for task_id, attempt in attempts.items():
            args += (self.ulid(task_id), attempt)
        return self.call("extend", *args)

    def counters(self, *, blocked_named: int = BLOCKED_NAMED) -> Call:
        """`blocked_named` 0: every tenant that is blocked."""
        return self.call("counters", blocked_named)

    def configure(self, policy: PoolPolicy) -> Call:
        """Replies the tenants to unblock, or nothing where a newer version stands."""
        args: list[Arg] = [policy.version, policy.max_running_per_tenant, policy.max_running_per_task_type]
        for tenant, rules in policy.tenants.items():
            args += (tenant, rules.weight, rules.max_running, rules.limits_digest)
        return self.call("configure", *args)

    def report(self, revision: str, path: str, why: str) -> Call:
        """Replies 1 when it is news."""
        return self.call("report", f"{revision} {path}", why[:MAX_REPORT_LETTERS], REPORT_SECONDS)


def _more(settlement: Settlement) -> bytes:
    """What most settlements have nothing of, as settle.lua reads it."""
    if not (
        settlement.error
        or settlement.limitations
        or settlement.cost
        or settlement.reason
        or settlement.not_before_ms
        or settlement.block_tenant
    ):
        return b""
    return orjson.dumps({
        "cost": settlement.cost,
        "reason": settlement.reason,
        "error": one_line(settlement.error).decode(errors="replace"),
        "limitations": encode_limitations(settlement.limitations).decode(),
        "not_before": settlement.not_before_ms,
        "block": settlement.block_tenant,
        "limit": settlement.limit,
        "digest": settlement.limits_digest,
    })  # fmt: skip


def check_entry(entry: JournalEntry) -> None:
    """Raises `InvalidInput` for a step's result that is too large to keep."""
    bounded("step's result", entry.value, MAX_ENTRY_BYTES)


def check_event(event: Event) -> None:
    """Raises `InvalidInput` for an event that is too large to keep."""
    bounded("event", event.data, MAX_EVENT_BYTES)


def check_settlement(settlement: Settlement) -> None:
    """Raises `InvalidInput` for an output that is too large to keep."""
    bounded("output", settlement.output, MAX_OUTPUT_BYTES)
