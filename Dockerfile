# One image for every command; the command is the argument:  docker run platform-events:dev check
#
#   docker build -t platform-events:dev .
#
# Another base, such as one pinned by its digest:  --build-arg PYTHON=3.13-slim@sha256:...
ARG PYTHON=3.13-slim

FROM python:${PYTHON} AS builder
WORKDIR /build
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
# The byte code is made here, and never compared with its source: the file system is read-only where
# the image runs, and times of files change on their way through layers.
RUN python3 -m venv --without-pip /opt/venv \
 && PIP_CONSTRAINT=constraints.txt PIP_BUILD_CONSTRAINT=constraints.txt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    python3 -m pip --python /opt/venv/bin/python install --no-compile '.[service]' \
 && /opt/venv/bin/python -m compileall -q --invalidation-mode unchecked-hash /opt/venv/lib

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="platform-events" \
      org.opencontainers.image.description="An event bus on Apache Kafka: apply, route and all other commands" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=builder /opt/venv /opt/venv
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PLATFORM_EVENTS_HEALTH_PORT=9464 \
    PLATFORM_EVENTS_METRICS=true
USER 10001:10001
EXPOSE 9464
ENTRYPOINT ["platform-events"]
CMD ["--help"]
