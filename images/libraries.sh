#!/bin/sh
# Makes /opt/<service>, a virtual environment that will run as /opt/agentfleet, with a service's locked libraries.
set -eu
service=$1
python3 -m venv /opt/agentfleet
/opt/agentfleet/bin/pip install --quiet --no-deps --require-hashes -r "requirements/$service.txt"
# Debugging symbols are most of some libraries' size. strip belongs to the build stage; without it they stay.
if command -v strip >/dev/null; then find /opt/agentfleet/lib -name '*.so*' -type f -exec strip --strip-unneeded {} +; fi
/opt/build/bin/python -m compileall -q -j 0 /opt/agentfleet/lib || true
mv /opt/agentfleet "/opt/$service"
