"""The API server, as the operator speaks to it: raw objects in and out.

No client library stands between: decoding one Deployment into a model costs more than the rest of a wake.
Nothing here retries; whoever calls knows what another attempt is worth.
"""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from agentfleet_core.errors import (
    AgentfleetError,
    Conflict,
    InvalidInput,
    NotFound,
    Unauthorized,
    Unavailable,
)
from agentfleet_operator.login import log_in

Json = dict[str, Any]

FIELD_MANAGER = "agentfleet-operator"

JSON_TYPE = "application/json"
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"

CONNECTIONS = 8
"""Calls in flight: enough to keep an API server busy, few enough that a burst does not pay for TLS a hundred
times.
"""
KEEP_ALIVE_SECONDS = 600.0


class KubeApi:
    """`async with KubeApi() as api`. Raises the house's errors, their cause chained.

    Entering it raises `InvalidInput` for no cluster.
    """

    def __init__(self, *, timeout_seconds: float = 15.0) -> None:
        self._timeout_seconds = timeout_seconds
        self._login: Mapping[str, str] = {}

    async def __aenter__(self) -> "KubeApi":
        info = log_in()
        self._login = info.as_http_headers()
        self._server = info.server.rstrip("/")
        connector = aiohttp.TCPConnector(
            limit=CONNECTIONS, ssl=info.as_ssl_context(), keepalive_timeout=KEEP_ALIVE_SECONDS
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            headers={"User-Agent": FIELD_MANAGER},
            proxy=info.proxy_url,
            trust_env=True,
            read_bufsize=2**21,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str, query: Mapping[str, str] | None = None) -> Json:
        return await self._call("GET", path, query)

    async def create(self, path: str, body: Json) -> Json:
        return await self._call("POST", path, {"fieldManager": FIELD_MANAGER}, body)

    async def replace(self, path: str, body: Json) -> Json:
        return await self._call("PUT", path, {"fieldManager": FIELD_MANAGER}, body)

    async def apply(self, path: str, body: Json) -> Json:
        """Server-side apply, forced: these fields are ours."""
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self._call("PATCH", path, query, body, APPLY_PATCH)

    async def merge(self, path: str, body: Json) -> Json:
        return await self._call("PATCH", path, {"fieldManager": FIELD_MANAGER}, body, MERGE_PATCH)

    async def delete(self, path: str, uid: str) -> None:
        """Only the object with this uid; gone already is well."""
        body = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._call("DELETE", path, None, body)
        except (NotFound, Conflict):
            return

    async def listing(
        self, path: str, *, label_selector: str = "", metadata_only: bool = False
    ) -> tuple[Sequence[Json], int]:
        """A collection's objects, and the resource version as of which they are all there are."""
        query = {"labelSelector": label_selector} if label_selector else None
        listed = await self._call("GET", path, query, accept=METADATA_LIST if metadata_only else JSON_TYPE)
        items: list[Json] = listed.get("items") or []
        return items, int(listed["metadata"]["resourceVersion"])

    async def _call(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Json | None = None,
        content_type: str = JSON_TYPE,
        *,
        accept: str = JSON_TYPE,
    ) -> Json:
        headers = {"Accept": accept, "Content-Type": content_type}
        sent = None if body is None else orjson.dumps(body)
        try:
            async with asyncio.timeout(self._timeout_seconds):
                status, data = await self._send(method, path, query, sent, headers)
                if status == 401:
                    self._login = log_in().as_http_headers()
                    status, data = await self._send(method, path, query, sent, headers)
        except TimeoutError as error:
            raise Unavailable(f"the API server did not answer {method} {path} in time") from error
        except (aiohttp.ClientError, ssl.SSLError, OSError) as error:
            raise Unavailable(f"the API server is out of reach: {error}") from error
        if status >= 400:
            raise refusal(status, data, method, path)
        answer: Json = orjson.loads(data)
        return answer

    async def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: bytes | None,
        headers: Mapping[str, str],
    ) -> tuple[int, bytes]:
        async with self._session.request(
            method, self._server + path, params=query, data=body, headers={**headers, **self._login}
        ) as response:
            return response.status, await response.read()


def refusal(status: int, data: bytes, method: str, path: str) -> AgentfleetError:
    """The house's error for an API server's answer."""
    try:
        message = str(orjson.loads(data).get("message", ""))
    except (orjson.JSONDecodeError, AttributeError):
        message = data[:200].decode(errors="replace")
    text = f"{method} {path}: {status} {message}"
    if status == 404:
        return NotFound("API object", path)
    if status == 409:
        return Conflict(text)
    if status in (401, 403):
        return Unauthorized(text)
    if status in (400, 405, 413, 415, 422):
        return InvalidInput(text)
    return Unavailable(text)


def service_account_namespace(default: str) -> str:
    """The namespace of this pod; `default` outside a cluster."""
    mounted = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
    return mounted.read_text().strip() if mounted.is_file() else default
