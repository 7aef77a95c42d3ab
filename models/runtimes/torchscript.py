"""TorchScript networks, accepted only as files whose digest the manifest names."""

import io
import warnings
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from models.errors import InternalError, PackageInvalidError, ProviderUnavailableError
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
    torch = _import_torch(provider)
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
            network = torch.jit.load(io.BytesIO(data), map_location=device).eval()
        except RuntimeError as error:
            raise PackageInvalidError("The network is no TorchScript archive that torch can load.") from error

    def run(inputs: list[NDArray[np.generic]]) -> list[NDArray[np.float32]]:
        # TF32 misses float32 by 1e-3, and algorithms picked by a race give other bits on another day.
        exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False)
        try:
            with torch.inference_mode(), exact:
                answer = network(*(torch.from_numpy(np.ascontiguousarray(item)).to(device) for item in inputs))
        except RuntimeError as error:
            raise InternalError(f"{provider} could not run the network: {_last_line(error)}") from error
        answers = answer if isinstance(answer, (tuple, list)) else (answer,)
        return [item.float().cpu().numpy() for item in answers]

    return run


def _import_torch(provider: str) -> ModuleType:
    try:
        import torch
    except ModuleNotFoundError as error:
        raise ProviderUnavailableError(
            f"{provider} was asked for, but torch is not installed.", "Install histoserve[torchscript]."
        ) from error
    module: ModuleType = torch
    return module


def _last_line(error: RuntimeError) -> str:
    """What went wrong, after a traceback of the archive's code."""
    return (str(error).strip().splitlines() or ["no reason given"])[-1][:200]
