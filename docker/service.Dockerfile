# The API: no pixels, no torch, no runtime. Build from the repository root:
#   docker build -f docker/service.Dockerfile -t histoserve-service .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY workers workers
COPY models models
COPY training/__init__.py training/__init__.py
RUN python -m venv /opt/histoserve \
 && /opt/histoserve/bin/pip install --no-cache-dir -c constraints.txt '.[service,s3]'

FROM python:3.11-slim-bookworm
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/histoserve/bin:$PATH HISTOSERVE_HOME=/data
# A named volume takes its owner from the folder it is first mounted on.
RUN useradd --no-create-home --uid 10001 histoserve && install -d -m 0700 -o histoserve -g histoserve /data
COPY --from=build /opt/histoserve /opt/histoserve
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/livez', timeout=3)"]
ENTRYPOINT ["histoserve"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
