#!/bin/sh
# Makes /opt/<service>, a virtual environment that runs as /opt/agentfleet: locked libraries, our wheel, compiled, and
# its bill of materials (CycloneDX) in sbom.json.
set -eu
service=$1
python3 -m venv /opt/agentfleet
/opt/agentfleet/bin/pip install --quiet --no-deps --require-hashes -r "requirements/$service.txt"
/opt/agentfleet/bin/pip install --quiet --no-deps /wheel/*.whl
/opt/build/bin/cyclonedx-py environment --output-reproducible -o /opt/agentfleet/sbom.json /opt/agentfleet/bin/python3
# A running service installs nothing.
/opt/agentfleet/bin/pip uninstall --quiet --yes pip setuptools 2>/dev/null || /opt/agentfleet/bin/python3 -m pip uninstall -y pip
# Debugging symbols are most of some libraries' size. strip belongs to the build stage; without it they stay.
if command -v strip >/dev/null; then find /opt/agentfleet/lib -name '*.so*' -type f -exec strip --strip-unneeded {} +; fi
/opt/build/bin/python -m compileall -q -j 0 /opt/agentfleet/lib || true
mv /opt/agentfleet "/opt/$service"
