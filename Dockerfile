# One build, a target per service: operator, coordinator, worker, cli (the simulator and the command line).
# BASE needs Python 3.11 or newer at the same path in both stages. Dependencies are pinned by hash in requirements/.
ARG BASE=docker.io/library/python:3.11-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
COPY requirements/build.txt requirements/
RUN python3 -m venv /opt/build && /opt/build/bin/pip install --quiet --require-hashes -r requirements/build.txt
RUN command -v strip >/dev/null || (apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null)
COPY requirements/ requirements/
COPY images/libraries.sh images/
RUN for service in operator coordinator worker cli; do sh images/libraries.sh $service || exit; done
COPY pyproject.toml README.md LICENSE ./
COPY sdk/ sdk/
COPY core/ core/
COPY operator/ operator/
COPY coordinator/ coordinator/
COPY worker/ worker/
COPY cli/ cli/
RUN /opt/build/bin/python -m hatchling build -t wheel -d /wheel
COPY images/assemble.sh images/
RUN for service in operator coordinator worker cli; do sh images/assemble.sh $service || exit; done

FROM ${BASE} AS base
# Base images leave the standard library uncompiled, which every start of a pod would pay for.
RUN python3 -m compileall -q -x '/(dist-packages|site-packages|ensurepip|idlelib|lib2to3|pydoc_data|test|tkinter)/' \
      "$(python3 -c 'import sysconfig; print(sysconfig.get_path("stdlib"))')" && \
    useradd --uid 65532 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin agentfleet
ENV PATH=/opt/agentfleet/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 AGENTFLEET_HOST=0.0.0.0
USER 65532:65532
WORKDIR /

FROM base AS operator
COPY --from=build /opt/operator /opt/agentfleet
ENTRYPOINT ["python3", "-P", "-m", "agentfleet_operator"]

FROM base AS coordinator
COPY --from=build /opt/coordinator /opt/agentfleet
ENTRYPOINT ["python3", "-P", "-m", "agentfleet_coordinator"]

FROM base AS worker
COPY --from=build /opt/worker /opt/agentfleet
ENTRYPOINT ["python3", "-m", "agentfleet_worker"]

FROM base AS cli
COPY --from=build /opt/cli /opt/agentfleet
ENTRYPOINT ["agentfleet"]
