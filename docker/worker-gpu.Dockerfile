# The GPU worker: ONNX Runtime on CUDA 13 with cuDNN 9, both from NVIDIA's wheels; the host brings the driver and the
# NVIDIA container toolkit. Build from the repository root:
#   docker build -f docker/worker-gpu.Dockerfile -t histoserve-worker-gpu .
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY service service
COPY workers workers
COPY models models
COPY training/__init__.py training/__init__.py
# onnxruntime-gpu takes the place of onnxruntime: never install both.
RUN python -m venv /opt/histoserve \
 && /opt/histoserve/bin/pip install --no-cache-dir -c constraints.txt '.[worker-gpu,s3]' 'onnxruntime-gpu[cuda,cudnn]'

FROM python:3.11-slim-bookworm
ENV ORT_DISABLE_TELEMETRY=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PATH=/opt/histoserve/bin:$PATH HISTOSERVE_HOME=/data
# Where the wheels put CUDA and cuDNN.
ENV LD_LIBRARY_PATH=/opt/histoserve/lib/python3.11/site-packages/nvidia/cu13/lib:/opt/histoserve/lib/python3.11/site-packages/nvidia/cudnn/lib
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
# A named volume takes its owner from the folder it is first mounted on.
RUN useradd --no-create-home --uid 10001 histoserve && install -d -m 0700 -o histoserve -g histoserve /data
COPY --from=build /opt/histoserve /opt/histoserve
USER 10001:10001
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=3 CMD ["python", "-m", "workers.daemon.healthy"]
ENTRYPOINT ["histoserve"]
CMD ["worker", "--provider", "onnxruntime-cuda"]
