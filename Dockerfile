# The gateway's image: built from the hash-pinned lock, run without root, without pip, without a writable file.
# The base is pinned by version and by the digest of its multi-architecture index; docs/how-to/container-image.md tells how to raise both.
ARG PYTHON=python:3.11.15-slim-bookworm@sha256:d29f48a31a8b408ed19272ca1e7b10ebae13b240a27e862d3d4217c528e2e0c3

FROM ${PYTHON} AS builder
# 1: what a request meets is compiled to C (docs/decisions/0011); 0: pure Python.
ARG COMPILED=1
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
# The release's own compiler: Debian changes these versions behind the * for fixes only.
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends gcc=4:12.2.0* libc6-dev=2.36* \
    && rm -rf /var/lib/apt/lists/*
COPY requirements/compile.txt requirements/runtime.txt requirements/mypyc.ini requirements/
# The builder's own Python gets the runtime too: mypyc reads the types of what the gateway stands on.
RUN python -m pip install --require-hashes --only-binary :all: -r requirements/compile.txt -r requirements/runtime.txt \
    && python -m venv --without-pip /opt/latchgate \
    && python -m pip --python /opt/latchgate/bin/python install --require-hashes --only-binary :all: --no-compile -r requirements/runtime.txt
COPY pyproject.toml README.md LICENSE ./
COPY gateway gateway
RUN HATCH_BUILD_HOOKS_ENABLE=${COMPILED} python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/latchgate/bin/python install --no-deps --no-index --no-compile dist/*.whl \
    && /opt/latchgate/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/latchgate/lib

FROM ${PYTHON} AS gateway
LABEL org.opencontainers.image.title="latchgate" \
      org.opencontainers.image.description="A security gateway in front of tool APIs" \
      org.opencontainers.image.licenses="Apache-2.0"
# What can install software has no place in what runs.
RUN python -m pip uninstall --yes --quiet --root-user-action=ignore pip setuptools wheel \
    && rm -rf /usr/local/lib/python3.11/ensurepip /usr/local/bin/pip* /root/.cache
COPY --from=builder /opt/latchgate /opt/latchgate
ENV PATH=/opt/latchgate/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
RUN gateway version
USER 65532:65532
WORKDIR /etc/gateway
EXPOSE 8443
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["gateway", "healthcheck"]
ENTRYPOINT ["gateway"]
CMD ["serve"]
