"""TorchScript networks, accepted only as files whose digest the manifest names."""

import io
import warnings

import numpy as np
from numpy.typing import NDArray

from models.errors import PackageInvalidError, ProviderUnavailableError
from models.runtimes.network import Runner


def load_torchscript(data: bytes, provider: str, threads: int | None) -> Runner:
    """A function that runs the scripted network on `torchscript-cpu` or `torchscript-cuda`.

    The archive may hold code that torch runs; `data` must be verified against the package's digest before.

    Raises
    ------
    ProviderUnavailableError
        torch is not installed, or there is no CUDA device.
    PackageInvalidError
        The file is no TorchScript archive.
    """
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ProviderUnavailableError(
            f"{provider} was asked for, but torch is not installed.", "Install histoserve[torchscript]."
        ) from error
    device = "cuda" if provider.endswith("cuda") else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise ProviderUnavailableError(
            f"{provider} was asked for, but torch sees no CUDA device.", "Ask for torchscript-cpu."
        )
    if threads:
        torch.set_num_threads(threads)
    with warnings.catch_warnings():
        # torch deprecates TorchScript itself; the archives of the zoos are what they are.
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            network = torch.jit.load(io.BytesIO(data), map_location=device).eval()  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            raise PackageInvalidError("The network is no TorchScript archive that torch can load.") from error

    def run(inputs: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        with torch.inference_mode():
            answer = network(*(torch.from_numpy(np.ascontiguousarray(item)).to(device) for item in inputs))
        answers = answer if isinstance(answer, (tuple, list)) else (answer,)
        return [item.float().cpu().numpy() for item in answers]

    return run
