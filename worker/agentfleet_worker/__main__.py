"""`python -m agentfleet_worker`"""

from agentfleet_worker.main import main

main()
