# Two images. `docker build .` makes that of the control plane: `ollamamax web|gateway|controller|batches|prepare`; PostgreSQL
# and Redis are not in it: DATABASE_URL and REDIS_URL name them (docs/running.md). `docker build --target node .` makes that of
# a node: `ollamamax-node join|run`, with llama.cpp unless `--build-arg NODE_LOCK=requirements-node.txt` leaves it out.

FROM node:22-bookworm-slim AS console
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM python:3.11-slim-bookworm AS python
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv --without-pip /opt/ollamamax
COPY requirements-build.txt ./
RUN pip install --require-hashes --only-binary :all: --no-deps -r requirements-build.txt

FROM python AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY ollamamax/ ollamamax/
COPY cluster/ cluster/
COPY models_registry/ models_registry/
COPY dashboard/ dashboard/
RUN pip wheel --no-index --no-build-isolation --no-deps --wheel-dir /wheel .

FROM python AS node-packages
ARG NODE_LOCK=requirements-llamacpp.txt
COPY ${NODE_LOCK} lock.txt
RUN pip --python /opt/ollamamax/bin/python install --require-hashes --only-binary :all: --no-deps -r lock.txt
COPY --from=wheel /wheel /wheel
RUN pip --python /opt/ollamamax/bin/python install --no-index --no-deps /wheel/*.whl

FROM python:3.11-slim-bookworm AS base
RUN groupadd --gid 10001 ollamamax \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin ollamamax \
    && install -d -o ollamamax -g ollamamax -m 0700 /data
ENV PATH=/opt/ollamamax/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /data
VOLUME /data

# Nothing but /data and /tmp is written to: run both with --read-only --tmpfs /tmp.
FROM base AS node
COPY --from=node-packages /opt/ollamamax /opt/ollamamax
USER 10001:10001
# A node listens nowhere; whether it gets on is told by its metrics and by the control plane.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, sys; os.kill(1, 0); sys.exit(not os.path.exists('/data/identity.json'))"]
ENTRYPOINT ["ollamamax-node"]
CMD ["run", "--home", "/data"]

FROM python AS build
COPY requirements-build.txt requirements-server.txt ./
RUN pip --python /opt/ollamamax/bin/python install --require-hashes --only-binary :all: --no-deps -r requirements-build.txt -r requirements-server.txt
WORKDIR /src
COPY pyproject.toml README.md LICENSE manage.py ./
COPY ollamamax/ ollamamax/
COPY cluster/ cluster/
COPY models_registry/ models_registry/
COPY dashboard/ dashboard/
COPY --from=console /src/frontend/dist/ frontend/dist/
# In place, as a clone is: settings and console files are found beside the packages.
RUN pip --python /opt/ollamamax/bin/python install --no-index --no-build-isolation --no-deps -e . \
    && OLLAMAMAX_SECRET_KEY=only-for-collecting-files-and-never-used-for-anything-else \
       DATABASE_URL=postgresql://unused@127.0.0.1:1/unused REDIS_URL=redis://127.0.0.1:1/0 \
       /opt/ollamamax/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && /opt/ollamamax/bin/python -m compileall -q ollamamax cluster models_registry dashboard

FROM base
COPY --from=build /opt/ollamamax /opt/ollamamax
COPY --from=build /src /src
ENV OLLAMAMAX_HOME=/data
USER 10001:10001
EXPOSE 8000
# Of the web process; the others are watched by their metrics.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-m", "ollamamax.processes.healthy"]
# A container's own loopback reaches nobody, so HOST and OLLAMAMAX_TLS_PROXY=1 (or a certificate) are given when it is run.
CMD ["ollamamax", "web"]
