"""The Secrets that the fleet config needs, read when their version changed, and no others.

Values live here, in the leader's memory, as long as something refers to them; they are never logged and never
written anywhere but as hashes into the config.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping

from agentfleet_core.errors import NotFound
from agentfleet_operator import paths
from agentfleet_operator.kube import KubeApi
from agentfleet_operator.state import FleetState

Values = Mapping[str, bytes]


class SecretReader:
    def __init__(self, api: KubeApi, state: FleetState) -> None:
        self._api = api
        self._state = state
        self._read: dict[str, tuple[int, Values]] = {}

    async def read(self, names: Iterable[str]) -> dict[str, Values]:
        """Those that exist, by name. Raises `Unavailable` when one could not be read."""
        wanted = {name for name in names if name in self._state.secrets}
        self._read = {name: known for name, known in self._read.items() if name in wanted}
        for name in sorted(wanted):
            version = self._state.secrets[name].version
            known = self._read.get(name)
            if known is None or known[0] != version:
                await self._refresh(name)
        return {name: values for name, (_, values) in self._read.items()}

    async def _refresh(self, name: str) -> None:
        try:
            body = await self._api.get(paths.one("Secret", self._state.namespace, name))
        except NotFound:
            self._read.pop(name, None)
            return
        self._read[name] = (int(body["metadata"]["resourceVersion"]), _decoded(body.get("data") or {}))


def _decoded(data: Mapping[str, str]) -> Values:
    values = {}
    for key, text in data.items():
        try:
            values[key] = base64.b64decode(text)
        except binascii.Error:
            continue
    return values
