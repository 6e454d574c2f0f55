"""`python -m agentfleet_operator`.

The kernel drops a SIGTERM for which the first process of a container has no handler: one that came during the
imports would be lost, and the pod would wait out its grace period. Until the operator runs, it just ends.
"""

import os
import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: os._exit(0))

from agentfleet_operator.main import main  # noqa: E402 - the handler comes before the slow imports

sys.exit(main())
