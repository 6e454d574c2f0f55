"""The operator logs in by a kubeconfig, and again when its token was renewed."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from agentfleet_core.errors import InvalidInput, Unauthorized
from agentfleet_operator.kube import KubeApi


def kubeconfig(path: Path, server: str, token: str) -> None:
    path.write_text(
        yaml.safe_dump(
            {
                "current-context": "here",
                "contexts": [{"name": "here", "context": {"cluster": "one", "user": "me"}}],
                "clusters": [{"name": "one", "cluster": {"server": server}}],
                "users": [{"name": "me", "user": {"token": token}}],
            }
        )
    )


@pytest.fixture
async def server() -> AsyncIterator[str]:
    """Lets in whoever has the token `new`."""

    async def answer(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != "Bearer new":
            return web.json_response({"message": "Unauthorized"}, status=401)
        return web.json_response({"path": request.path, "agent": request.headers["User-Agent"]})

    app = web.Application()
    app.router.add_route("*", "/{any:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_renewed_token_is_read_when_the_old_one_is_refused(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    monkeypatch.setenv("KUBECONFIG", str(config))
    kubeconfig(config, server, "old")
    async with KubeApi() as api:
        with pytest.raises(Unauthorized):
            await api.get("/version")
        kubeconfig(config, server, "new")
        assert await api.get("/version") == {"path": "/version", "agent": "agentfleet-operator"}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "Current context is not set"),
        ("current-context: here\n", "here"),
        ("- 1\n", "there is no cluster to work with"),
        ("{", "there is no cluster to work with"),
    ],
)
async def test_a_kubeconfig_that_names_no_cluster_is_refused(
    content: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config"
    config.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(config))
    with pytest.raises(InvalidInput, match=says):
        async with KubeApi():
            pass
