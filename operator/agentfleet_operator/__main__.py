"""`python -m agentfleet_operator`."""

import sys

from agentfleet_operator.main import main

sys.exit(main())
