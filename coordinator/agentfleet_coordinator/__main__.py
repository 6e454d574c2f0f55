"""`python -m agentfleet_coordinator`: one process; run more for more. SIGTERM ends it gracefully."""

import gc
import socket
import sys

import uvicorn
from fastapi import FastAPI

from agentfleet_coordinator.app import create_app
from agentfleet_coordinator.services import running_services
from agentfleet_core.errors import AgentfleetError
from agentfleet_core.settings import read_settings
from agentfleet_core.telemetry.logs import set_up_logs

GRACE_SECONDS = 20
"""For requests under way."""
KEEP_ALIVE_SECONDS = 75
"""Longer than what load balancers keep, so that they close first."""


class Server(uvicorn.Server):
    """Lets followers go before it waits for connections: their streams would never end by themselves."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        app = self.config.app
        services = getattr(app.state, "services", None) if isinstance(app, FastAPI) else None
        if services is not None:
            services.stop()
        await super().shutdown(sockets)


def main() -> int:
    settings = read_settings()
    set_up_logs(settings.log_format)
    app = create_app(lambda: running_services(settings))
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=GRACE_SECONDS,
        backlog=4_096,
    )
    server = Server(config)
    # Requests make few cycles; what the imports made need not be looked at again and again.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    try:
        server.run()
    except AgentfleetError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
