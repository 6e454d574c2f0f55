"""What the queue keeps outlives the release that wrote it; its scripts use the house's words."""

import re
import struct
from importlib.resources import files

import orjson
import pytest

from agentfleet_core import problems
from agentfleet_core.errors import InvalidInput, UnknownEnvelope
from agentfleet_core.problems import BASE, TABLE, ProblemType
from agentfleet_core.queue.claims import UNKNOWN_PARK_MS, decode_claims
from agentfleet_core.queue.envelope import Claim, Envelope, SettleKind, TaskState
from agentfleet_core.queue.reasons import AttemptReason, TaskReason
from agentfleet_core.queue.records import STORED, decode_envelope, encode_envelope

TASK = "interactive.01kavqz8s3h6x2m4n7p9q1r5t8"
ULID = TASK.partition(".")[2]
INPUT = b'{"order":"A-1001"}\n'
ENVELOPE = Envelope(
    TASK, "acme", "refund", 50, "r1", "fast", "TierDefault", INPUT, {"shop": "berlin"}, 3600, 7, 5, 9
)
LINE = [1, "acme", "refund", 50, "r1", "fast", "TierDefault", {"shop": "berlin"}, 3600, 7, 5, 9]
"""As release 0.1 writes it. Never changed: later fields come behind these."""


def kept(line: object) -> bytes:
    return orjson.dumps(line) + b"\n" + INPUT


def test_the_stored_order_is_for_ever() -> None:
    assert encode_envelope(ENVELOPE) == kept(LINE)
    assert decode_envelope(TASK, kept(LINE)) == ENVELOPE
    assert len(STORED) >= 11


def test_what_an_older_release_did_not_write_has_its_default() -> None:
    decoded = decode_envelope(TASK, kept(LINE[:7]))
    assert decoded == Envelope(TASK, "acme", "refund", 50, "r1", "fast", "TierDefault", INPUT)


def test_what_a_newer_release_added_is_ignored() -> None:
    added = LINE + [None] * (len(STORED) + 1 - len(LINE)) + ["a field of next year", {"more": 1}]
    assert decode_envelope(TASK, kept(added)) == ENVELOPE


def test_another_major_is_unknown() -> None:
    with pytest.raises(UnknownEnvelope, match=f"task {TASK} was written as envelope 2, this release reads 1"):
        decode_envelope(TASK, kept([2, "anything"]))


BAD = [
    b"",
    b"\xff\xfe",
    b"{}",
    kept({"tenant": "acme"}),
    kept([]),
    kept(["1", *LINE[1:]]),
    kept(LINE[:6]),
    kept([*LINE[:3], "50", *LINE[4:]]),
    kept([*LINE[:7], None, *LINE[8:]]),
]


@pytest.mark.parametrize("record", BAD)
def test_what_is_no_envelope_is_refused(record: bytes) -> None:
    with pytest.raises(InvalidInput, match=f"the record of task {TASK} is") as refused:
        decode_envelope(TASK, record)
    assert not isinstance(refused.value, UnknownEnvelope)


def test_a_bad_record_costs_its_own_task_alone() -> None:
    constants, history = struct.pack(">4d", 1_000, 9_000, 5, 3), [b"3 1 2000 40", b"a", b"{}"]
    items = [each for record in (kept(LINE), b"nonsense", kept([2]))
             for each in (ULID.encode(), constants, record, history)]  # fmt: skip
    [claim], (failed, parked) = decode_claims("interactive", [5_000, 0, items])
    assert claim == Claim(ENVELOPE, 3, 1, 1_000, 2_000, 40, 5_000, {"a": b"{}"})
    assert (failed.task_id, failed.attempt, failed.state) == (TASK, 3, TaskState.FAILED)
    assert orjson.loads(failed.error)["detail"].startswith(f"the record of task {TASK} is not JSON")
    assert (parked.kind, parked.not_before_ms) == (SettleKind.PARK, 5_000 + UNKNOWN_PARK_MS)
    assert parked.reason == (f"EnvelopeUnknown: task {TASK} was written as envelope 2, this release reads 1")


SCRIPTS = [
    each for each in files("agentfleet_core.queue").joinpath("lua").iterdir() if each.name.endswith(".lua")
]
LUA = "\n".join(each.read_text() for each in SCRIPTS)


def test_the_scripts_reasons_are_the_enums() -> None:
    written = set(re.findall(r"'r', '([A-Z]\w+)'", LUA))
    assert written == {TaskReason.EXPIRED, TaskReason.WORKER_LOST}
    assert not {*TaskReason} & {*AttemptReason}, "one word, one cause"


def test_the_scripts_problems_are_in_the_table() -> None:
    known = {*TABLE.values(), *(each for each in vars(problems).values() if isinstance(each, ProblemType))}
    written = re.findall(r"problem\('([^']+)', '([^']+)', (\d+)", LUA)
    assert {ProblemType(slug, title, int(status)) for slug, title, status in written} <= known
    assert {slug for slug, _, _ in written} == {"worker-lost", "deadline-exceeded"}
    assert LUA.count(f"'{BASE}' ..") == LUA.count("https://") == 1
