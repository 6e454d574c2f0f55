"""What the API refuses, each with status, field and the words that say what to change. Never a 500."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.servers.coordinator import ACME_KEY, Coordinator, client, refund, running_coordinator

from agentfleet_cli.local.redis_server import RedisServer
from agentfleet_core.settings import FleetId

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def coordinator(redis: RedisServer) -> AsyncIterator[Coordinator]:
    """One for all: what is refused leaves nothing behind."""
    async with running_coordinator(redis, FleetId("test", "bad-requests")) as running:
        yield running


DEEP = "[" * 2_000 + "]" * 2_000

BAD_BODIES = {
    "nothing": (b"", 400, "", "not JSON"),
    "no JSON": (b"{", 400, "", "not JSON"),
    "form data": (b"type=refund-request", 400, "", "not JSON"),
    "NaN": (b'{"type":"anything","input":{"n":NaN}}', 400, "", "not JSON"),
    "Infinity": (b'{"type":"anything","input":{"n":-Infinity}}', 400, "", "not JSON"),
    "1e999": (b'{"type":"anything","input":{"n":1e999}}', 400, "", "infinity"),
    "an integer past 64 bits": (
        b'{"type":"anything","input":{"n":123456789012345678901234567890}}',
        400,
        "",
        "send it as a string",
    ),
    "an integer of ten thousand digits": (
        b'{"type":"anything","input":{"n":' + b"9" * 10_000 + b"}}",
        400,
        "",
        "not JSON",
    ),
    "a lone surrogate, escaped": (b'{"type":"anything","input":{"s":"\\ud800"}}', 400, "", "surrogate"),
    "a lone surrogate, raw": (b'{"type":"anything","input":{"s":"\xed\xa0\x80"}}', 400, "", "UTF-8"),
    "bytes that are no UTF-8": (b'{"type":"anything","input":{"s":"\xff"}}', 400, "", "UTF-8"),
    "a byte order mark": (b'\xef\xbb\xbf{"type":"anything"}', 400, "", "not JSON"),
    "too deep": (f'{{"type":"anything","input":{{"n":{DEEP}}}}}'.encode(), 400, "", "depth"),
    "a list": (b"[]", 422, "", "JSON object"),
    "null": (b"null", 422, "", "JSON object"),
    "a string": (b'"refund-request"', 422, "", "JSON object"),
    "no type": (b"{}", 422, "type", "is missing"),
    "a null type": (b'{"type":null}', 422, "type", "must be a name"),
    "a type that is a number": (b'{"type":7}', 422, "type", "must be a name"),
    "a type with a path in it": (b'{"type":"../../etc"}', 422, "type", "must be a name"),
    "a type with a NUL": (b'{"type":"a\\u0000b"}', 422, "type", "must be a name"),
    "an unknown type": (b'{"type":"refund-requests"}', 422, "type", "did you mean refund-request?"),
    "an unknown field": (b'{"type":"anything","inputs":{}}', 422, "inputs", "is no field of a task"),
    "an input that is a list": (b'{"type":"anything","input":[]}', 422, "input", "JSON object"),
    "an input that is null": (b'{"type":"anything","input":null}', 422, "input", "JSON object"),
    "an input off schema": (
        b'{"type":"refund-request","input":{"order":7,"message":"m"}}',
        422,
        "input.order",
        'not of type "string"',
    ),
    "an input without a field": (
        b'{"type":"refund-request","input":{"order":"A"}}',
        422,
        "input",
        '"message" is a required property',
    ),
    "an input with a field too many": (
        b'{"type":"refund-request","input":{"order":"A","message":"m","x":1}}',
        422,
        "input",
        "'x'",
    ),
    "a pool that the type does not run in": (
        b'{"type":"anything","pool":"interactive"}',
        422,
        "pool",
        "choose one of batch",
    ),
    "a tier that does not exist": (b'{"type":"anything","tier":"fats"}', 422, "tier", "did you mean fast?"),
    "a priority too high": (b'{"type":"anything","priority":101}', 422, "priority", "from 0 to 100"),
    "a priority below zero": (b'{"type":"anything","priority":-1}', 422, "priority", "from 0 to 100"),
    "a priority with a fraction": (b'{"type":"anything","priority":1.5}', 422, "priority", "integer"),
    "a priority that is true": (b'{"type":"anything","priority":true}', 422, "priority", "integer"),
    "an expiry of nothing": (
        b'{"type":"anything","expires_after_seconds":0}',
        422,
        "expires_after_seconds",
        "from 1 to",
    ),
    "an expiry in a century": (
        b'{"type":"anything","expires_after_seconds":3155760000}',
        422,
        "expires_after_seconds",
        "from 1 to",
    ),
    "labels that are a list": (b'{"type":"anything","labels":["a"]}', 422, "labels", "an object"),
    "a label that is a number": (b'{"type":"anything","labels":{"a":1}}', 422, "labels.a", "it must be"),
    "a label key with a space": (b'{"type":"anything","labels":{"a b":"c"}}', 422, "labels", "label key"),
    "a label in right-to-left script": (
        '{"type":"anything","labels":{"a":"\u202eevil"}}'.encode(),
        422,
        "labels.a",
        "it must be",
    ),
    "too many labels": (
        json.dumps({"type": "anything", "labels": {f"k{n}": "v" for n in range(17)}}).encode(),
        422,
        "labels",
        "at most 16",
    ),
    "an unknown mode": (b'{"type":"anything","mode":"perhaps"}', 422, "mode", "defer or reject"),
    "an empty key": (b'{"type":"anything","idempotency_key":""}', 422, "idempotency_key", "visible ASCII"),
    "a key that is a number": (
        b'{"type":"anything","idempotency_key":7}',
        422,
        "idempotency_key",
        "visible ASCII",
    ),
    "an input too large": (
        json.dumps({"type": "anything", "input": {"s": "x" * 300_000}}).encode(),
        422,
        "input",
        "pass a reference",
    ),
    "a body too large": (
        b'{"type":"anything","input":{"s":"' + b"x" * 1_100_000 + b'"}}',
        413,
        "",
        "larger than",
    ),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_submit_is_refused_with_what_to_change(coordinator: Coordinator, name: str) -> None:
    body, status, field, words = BAD_BODIES[name]

    answer = await coordinator.acme.post("/v1/tasks", content=body)

    problem = answer.json()
    assert (answer.status_code, problem["status"], problem.get("field", "")) == (status, status, field), (
        problem
    )
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"].startswith("https://agentfleet.dev/problems/")
    assert words in problem["detail"]


GOOD_BODIES = {
    "an empty input": {"type": "anything"},
    "numbers at the edge": {"type": "anything", "input": {"n": [2**64 - 1, -(2**63), 1e308, 5e-324, -0.0]}},
    "long digits inside a string": {"type": "anything", "input": {"card": "4" * 40}},
    "every plane of Unicode": {"type": "anything", "input": {"s": "é\u0000\u202e\U0001f600\ufffe 漢字"}},
    "a key in any script": {"type": "anything", "input": {"ключ": {"": None}}},
}


@pytest.mark.parametrize("name", GOOD_BODIES)
async def test_an_odd_input_arrives_as_it_was_sent(coordinator: Coordinator, name: str) -> None:
    answer = await coordinator.acme.post("/v1/tasks", json=GOOD_BODIES[name])

    assert answer.status_code == 201, answer.text
    claim = await coordinator.claim("batch")
    assert json.loads(claim.envelope.input) == GOOD_BODIES[name].get("input", {})


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ([], 422, "a batch is"),
        ({}, 422, "a batch is"),
        ({"tasks": {}}, 422, "a batch is"),
        ({"tasks": []}, 422, "1 to 1,000 tasks"),
        ({"tasks": [{}] * 1_001}, 422, "1 to 1,000 tasks"),
    ],
)
async def test_a_bad_batch_is_refused_whole(
    coordinator: Coordinator, body: object, status: int, words: str
) -> None:
    answer = await coordinator.acme.post("/v1/tasks/batch", json=body)

    assert answer.status_code == status
    assert words in answer.json()["detail"]


async def test_bad_items_refuse_only_themselves(coordinator: Coordinator) -> None:
    tasks = [None, 7, [], {"type": 1}, refund(), {"type": "anything", "idempotency_key": "\u00e9"}]

    items = (await coordinator.acme.post("/v1/tasks/batch", json={"tasks": tasks})).json()["items"]

    assert [item["status"] for item in items] == [422, 422, 422, 422, 201, 422]


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Basic YTpi", "Bearer wrong", ACME_KEY, "Bearer \x80\xff"]
)
async def test_no_key_or_a_wrong_one_is_401(coordinator: Coordinator, authorization: str) -> None:
    headers = {"authorization": authorization.encode("latin-1")} if authorization else {}

    answer = await coordinator.nobody.post("/v1/tasks", json=refund(), headers=headers)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert answer.json()["title"] == "Unauthorized"


async def test_a_path_that_does_not_exist_says_where_the_paths_are(coordinator: Coordinator) -> None:
    answer = await coordinator.acme.post("/tasks", json=refund())

    assert (answer.status_code, answer.json()["detail"]) == (
        404,
        "path /tasks does not exist; see /openapi.json",
    )


@pytest.mark.parametrize(
    ("path", "status", "field"),
    [
        ("/v1/tasks/nonsense", 404, ""),
        ("/v1/tasks/interactive.01kavqz8s3h6x2m4n7p9q1r5t8", 404, ""),
        ("/v1/tasks/interactive.zzzzzzzzzzzzzzzzzzzzzzzzzz", 404, ""),
        ("/v1/tasks/%00.%F0%9F%98%80", 404, ""),
        ("/v1/tasks/interactive.01kavqz8s3h6x2m4n7p9q1r5t8/events", 404, ""),
        ("/v1/tasks/x/result?wait_seconds=1", 404, ""),
        ("/v1/tasks?limit=0", 422, "limit"),
        ("/v1/tasks?stat=done", 422, "stat"),
        ("/v1/tasks?limit=nan", 422, "limit"),
        ("/v1/tasks?limit=1e999", 422, "limit"),
        ("/v1/tasks?limit=%F0%9F%98%80", 422, "limit"),
        ("/v1/tasks?state=sleeping", 422, "state"),
        ("/v1/tasks?label=%00", 422, "label"),
        ("/v1/tasks?cursor=%FF%FE", 422, "cursor"),
        ("/v1/tasks?cursor=MTIzIHg", 422, "cursor"),
        ("/v1/nowhere", 404, ""),
        ("/v1/fleet", 403, ""),
        ("/v1/pools/interactive/why", 403, ""),
    ],
)
async def test_a_bad_read_is_refused(coordinator: Coordinator, path: str, status: int, field: str) -> None:
    answer = await coordinator.acme.get(path)

    assert (answer.status_code, answer.json().get("field", "")) == (status, field), answer.text


async def test_a_wait_is_bounded(coordinator: Coordinator) -> None:
    task = await coordinator.submitted()
    for text in ("-1", "61", "nan", "inf", "soon"):
        answer = await coordinator.acme.get(f"/v1/tasks/{task['id']}/result", params={"wait_seconds": text})
        assert (answer.status_code, answer.json()["field"]) == (422, "wait_seconds")


async def test_a_wrong_method_names_the_right_ones(coordinator: Coordinator) -> None:
    answer = await coordinator.acme.put("/v1/tasks")

    assert (answer.status_code, answer.json()["title"]) == (405, "Method not allowed")
    assert "POST" in answer.headers["allow"] or "GET" in answer.headers["allow"]


async def test_a_body_without_an_announced_length_is_bounded_too(coordinator: Coordinator) -> None:
    async def endless():
        for _ in range(200):
            yield b"x" * 65_536

    async with client(coordinator.url, ACME_KEY) as http:
        answer = await http.post("/v1/tasks", content=endless())

    assert answer.status_code == 413


async def test_headers_that_never_end_are_cut_off(coordinator: Coordinator) -> None:
    port = int(coordinator.url.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Long: ")
    with contextlib.suppress(ConnectionError):
        for _ in range(40):
            writer.write(b"x" * 65_536)
            await writer.drain()

    with contextlib.suppress(ConnectionError):
        assert b"400 Bad Request" in await reader.read()
    assert reader.at_eof() or reader.exception() is not None
    writer.close()
    assert (await coordinator.nobody.get("/healthz")).status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST /v1/tasks HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
)
async def test_what_is_no_http_is_400(coordinator: Coordinator, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(coordinator.url.rpartition(":")[2]))
    writer.write(request_bytes)
    writer.write_eof()

    answer = await reader.read()

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    writer.close()


async def test_a_defect_of_ours_is_a_500_that_tells_nothing(
    coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: str) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr(coordinator.services.queues, "of", broken)

    answer = await coordinator.acme.post("/v1/tasks/interactive.01kavqz8s3h6x2m4n7p9q1r5t8/cancel")

    assert (answer.status_code, answer.json()["title"]) == (500, "Internal error")
    assert "secret" not in answer.text
    assert "the secret inside" in caplog.text
