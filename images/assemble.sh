#!/bin/sh
# Adds our wheel to /opt/<service>, compiled, and its bill of materials (CycloneDX) in sbom.json.
set -eu
service=$1
mv "/opt/$service" /opt/agentfleet
/opt/agentfleet/bin/pip install --quiet --no-deps /wheel/*.whl
/opt/build/bin/cyclonedx-py environment --output-reproducible -o /opt/agentfleet/sbom.json /opt/agentfleet/bin/python3
# A running service installs nothing.
/opt/agentfleet/bin/pip uninstall --quiet --yes pip setuptools 2>/dev/null || /opt/agentfleet/bin/python3 -m pip uninstall -y pip
/opt/build/bin/python -m compileall -q -j 0 /opt/agentfleet/lib || true
mv /opt/agentfleet "/opt/$service"
