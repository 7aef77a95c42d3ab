"""The Python client: `from service.client import Client`."""

from service.client.client import Client
from service.client.download import download_result
from service.client.uploading import Uploaded

__all__ = ["Client", "Uploaded", "download_result"]
