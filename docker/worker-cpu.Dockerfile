# The CPU worker: the engine and its runtimes, no torch. Build from the repository root:
#   docker build -f docker/worker-cpu.Dockerfile -t histoserve-worker-cpu .
# The engine without the service:
#   docker run --rm --read-only --tmpfs /tmp -v /slides:/slides:ro -v /out:/out histoserve-worker-cpu run /slides/a.svs --package nuclei --out /out/a
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY workers workers
COPY models models
COPY training/__init__.py training/__init__.py
RUN python -m venv /opt/histoserve \
 && /opt/histoserve/bin/pip install --no-cache-dir -c constraints.txt '.[worker-cpu,s3]'

FROM python:3.11-slim-bookworm
ENV ORT_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/histoserve/bin:$PATH HISTOSERVE_HOME=/data
# A named volume takes its owner from the folder it is first mounted on.
RUN useradd --no-create-home --uid 10001 histoserve && install -d -m 0700 -o histoserve -g histoserve /data
COPY --from=build /opt/histoserve /opt/histoserve
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "workers.daemon.healthy"]
ENTRYPOINT ["histoserve"]
CMD ["worker"]
