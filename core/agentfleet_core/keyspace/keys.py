"""Every Redis key, in one place. Keys that one script touches share a hash tag.

`{p:<install>/<namespace>/<pool>}` a pool, `{b:<install>/<namespace>/<tenant>}` a tenant's money and
idempotency, `{f:<install>/<namespace>}` the fleet's config and switches. A script that finds keys while it
runs builds them from the tag it was given, as the properties here do.
"""

from dataclasses import dataclass

from agentfleet_core.settings import FleetId


@dataclass(frozen=True, slots=True)
class FleetKeys:
    fleet: FleetId

    @property
    def tag(self) -> str:
        return f"{{f:{self.fleet.install}/{self.fleet.namespace}}}"

    @property
    def config(self) -> str:
        """Hash: version, term, digest (SHA-1 of body), body (JSON of FleetConfig without the former two)."""
        return f"{self.tag}:config"

    @property
    def switches(self) -> str:
        """Hash of what is paused by hand: `fleet`, `pool/<name>`, `tenant/<name>`, `task-type/<name>` to who
        and when (JSON).
        """
        return f"{self.tag}:switches"

    @property
    def throttles(self) -> str:
        """Hash: `<tier>/<model>` to until when its provider takes no calls, in milliseconds; expires with its
        last entry.
        """
        return f"{self.tag}:throttles"

    @property
    def changes(self) -> str:
        """Pub/sub channel: `config`, `switches`, `throttles`. Every process follows it: nothing frequent is
        said.
        """
        return f"agentfleet:{self.fleet.install}/{self.fleet.namespace}:changes"

    @property
    def signals(self) -> str:
        """Pub/sub channel: `pool/<name>` when a pool's counters changed; the autoscaler alone follows it."""
        return f"agentfleet:{self.fleet.install}/{self.fleet.namespace}:signals"

    @property
    def sweeping(self) -> str:
        """Held, for a few seconds, by the process that sweeps the tenants' ledgers."""
        return f"{self.tag}:sweeping"

    @property
    def auditing(self) -> str:
        """Held, for most of a minute, by the process that recounts the pools."""
        return f"{self.tag}:auditing"

    @property
    def plans(self) -> str:
        """Hash: pool to the newest PoolPlan (JSON), for `why` and `watch`."""
        return f"{self.tag}:plans"


@dataclass(frozen=True, slots=True)
class TenantKeys:
    fleet: FleetId
    tenant: str

    @property
    def tag(self) -> str:
        return f"{{b:{self.fleet.install}/{self.fleet.namespace}/{self.tenant}}}"

    @property
    def index(self) -> str:
        """Sorted set: the tenant's task ids by admission time, in microseconds."""
        return f"{self.tag}:tasks"

    @property
    def idempotency_prefix(self) -> str:
        """Of a string per idempotency key: the body's digest and the task id."""
        return f"{self.tag}:i:"

    @property
    def leases(self) -> str:
        """Sorted set: each open hold's id by when its lease ends, in milliseconds."""
        return f"{self.tag}:leases"

    @property
    def waits(self) -> str:
        """Sorted set: `amount|limit|hold id` of calls that wait for open holds, by when they give up."""
        return f"{self.tag}:waits"

    def hold(self, hold_id: str) -> str:
        """String `state|amount|window,window`; outlives the hold as a tombstone."""
        return f"{self.tag}:hold:{hold_id}"

    def limit(self, window: str) -> str:
        """Hash of one limit in one window (`<limit>:<start>`): spent, held, unconfirmed."""
        return f"{self.tag}:limit:{window}"

    @property
    def room(self) -> str:
        """Pub/sub channel that rings when a settle, release or sweep made room."""
        return f"agentfleet:{self.fleet.install}/{self.fleet.namespace}:room:{self.tenant}"


@dataclass(frozen=True, slots=True)
class PoolKeys:
    fleet: FleetId
    pool: str

    @property
    def tag(self) -> str:
        return f"{{p:{self.fleet.install}/{self.fleet.namespace}/{self.pool}}}"

    @property
    def workers(self) -> str:
        """Hash: worker to `<last seen, ms> <revision>`."""
        return f"{self.tag}:workers"

    @property
    def draining(self) -> str:
        """Set of workers that claim nothing more."""
        return f"{self.tag}:draining"

    @property
    def counters(self) -> str:
        """Hash of totals that only grow (`end:<state>:<type>`: by the queue's own hand), the virtual clock,
        and when the last signal went out.
        """
        return f"{self.tag}:counters"

    @property
    def policy(self) -> str:
        """Hash: fair-share weights, running caps and digests of the tenants' limits, with the config version
        that they came from.
        """
        return f"{self.tag}:policy"

    @property
    def share(self) -> str:
        """Sorted set: tenants with waiting tasks, by virtual time."""
        return f"{self.tag}:share"

    @property
    def virtual_times(self) -> str:
        """Hash: tenants without waiting tasks, to the virtual time that they left with."""
        return f"{self.tag}:vt"

    @property
    def unit(self) -> str:
        """Hash: tenant to what a start of its was last charged, in nano-USD of virtual time."""
        return f"{self.tag}:unit"

    @property
    def waiting(self) -> str:
        """Hash: tenant to its waiting tasks."""
        return f"{self.tag}:waiting"

    @property
    def running(self) -> str:
        """Hash: `t:<tenant>`, `y:<type>`, `w:<worker>` to running tasks."""
        return f"{self.tag}:running"

    @property
    def expiry(self) -> str:
        """Sorted set: every queued task, by when it expires."""
        return f"{self.tag}:expiry"

    @property
    def parked(self) -> str:
        """Sorted set: every parked task, by when it is due."""
        return f"{self.tag}:parked"

    @property
    def leases(self) -> str:
        """Sorted set: every running task, by when its lease ends."""
        return f"{self.tag}:leases"

    @property
    def blocked(self) -> str:
        """Sorted set: tenants that may not start, by until when."""
        return f"{self.tag}:blocked"

    @property
    def blocked_why(self) -> str:
        """Hash: tenant to the reason of its newest block, which holds as long as `blocked` says."""
        return f"{self.tag}:blocked:why"

    @property
    def blocked_limit(self) -> str:
        """Hash: tenant to the limit that its newest block waits for."""
        return f"{self.tag}:blocked:limit"

    @property
    def lifting(self) -> str:
        """Set: tenants whose limits have changed and whose parked tasks do not all know yet."""
        return f"{self.tag}:lifting"

    @property
    def bell(self) -> str:
        """List of a few tokens: idle workers block on it."""
        return f"{self.tag}:bell"

    @property
    def answers(self) -> str:
        """Hash: worker to its last claim's number and what it got, for a claim that is sent twice."""
        return f"{self.tag}:answers"

    @property
    def missing(self) -> str:
        """Hash: `<revision> <module:function>` that a worker could not load, to `<when, ms> <why>`."""
        return f"{self.tag}:missing"

    def task(self, task_id: str) -> str:
        """Hash: the task, its journal in the fields `j:<step>`, its events in `v:<number>`."""
        return f"{self.tag}:t:{task_id.rpartition('.')[2]}"

    def events(self, task_id: str) -> str:
        """Pub/sub channel: the number of the task's newest event, while somebody follows it."""
        return f"{self.tag}:e:{task_id.rpartition('.')[2]}"

    def lanes(self, tenant: str) -> str:
        """Hash: `<priority>:<type>:<revision>` to the stream id of the first task that waits there."""
        return f"{self.tag}:l:{tenant}"

    def deferred(self, tenant: str) -> str:
        """Set: the tenant's tasks that are parked until a time or until it is unblocked."""
        return f"{self.tag}:d:{tenant}"

    def stream(self, tenant: str, lane: str) -> str:
        """Stream of a tenant's lane: its waiting tasks, oldest first."""
        return f"{self.tag}:q:{tenant}:{lane}"
