"""WSInfer's own command, started in WSInfer's environment: `run_wsinfer.py run --wsi-dir ... --config ...`.

Its zoo's list of models is read from the hub at import; here it is empty, for no hub can be reached and none is used.
"""

from typing import Any

from absent import declare_torchvision_operators


def main() -> None:
    """Hand the arguments on."""
    declare_torchvision_operators()
    import torch

    torch.set_num_threads(2)
    import wsinfer_zoo.client

    wsinfer_zoo.client.load_registry = _no_models
    from wsinfer.cli.cli import cli

    cli()


def _no_models(*_: Any, **__: Any) -> Any:
    from wsinfer_zoo.client import ModelRegistry

    return ModelRegistry(models={})


if __name__ == "__main__":
    main()
