# One image for every process: `ollamamax web|controller|beat|prepare` and `ollamamax-node join|run`.
# PostgreSQL and Redis are not in it: DATABASE_URL and REDIS_URL name them (docs/running.md).

FROM node:22-bookworm-slim AS console
WORKDIR /src/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend/ ./
RUN npm run build

FROM python:3.11-slim-bookworm AS packages
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/ollamamax
COPY requirements.txt ./
RUN /opt/ollamamax/bin/pip install --require-hashes --only-binary :all: --no-deps -r requirements.txt

FROM packages AS build
WORKDIR /src
COPY pyproject.toml requirements.in README.md LICENSE manage.py ./
COPY ollamamax/ ollamamax/
COPY cluster/ cluster/
COPY models_registry/ models_registry/
COPY dashboard/ dashboard/
COPY --from=console /src/frontend/dist/ frontend/dist/
# In place, as a clone is: settings and console files are found beside the packages.
RUN /opt/ollamamax/bin/pip install --no-index --no-build-isolation --no-deps -e . \
    && OLLAMAMAX_SECRET_KEY=only-for-collecting-files-and-never-used-for-anything-else \
       DATABASE_URL=postgresql://unused@127.0.0.1:1/unused REDIS_URL=redis://127.0.0.1:1/0 \
       /opt/ollamamax/bin/python manage.py collectstatic --noinput --verbosity 0 \
    && /opt/ollamamax/bin/python -m compileall -q ollamamax cluster models_registry dashboard

FROM python:3.11-slim-bookworm
RUN groupadd --gid 10001 ollamamax \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin ollamamax \
    && install -d -o ollamamax -g ollamamax -m 0700 /data
COPY --from=build /opt/ollamamax /opt/ollamamax
COPY --from=build /src /src
ENV PATH=/opt/ollamamax/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 OLLAMAMAX_HOME=/data
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8000
# A container's own loopback reaches nobody, so HOST and OLLAMAMAX_TLS_PROXY=1 (or a certificate) are given when it is run.
CMD ["ollamamax", "web"]
