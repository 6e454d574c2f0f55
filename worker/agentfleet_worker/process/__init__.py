"""A worker as a process: the parts wired, leases kept from a thread of their own, an end in good order."""
