"""`python -m agentfleet_worker`.

The kernel drops a SIGTERM for which the first process of a container has no handler: one that came during the
imports would be lost, and the pod would wait out its whole grace period. Until the worker runs, it just ends.
"""

import os
import signal

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from agentfleet_worker.main import main  # noqa: E402 - the handler comes before the slow imports

main()
