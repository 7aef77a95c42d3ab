"""Table 2 of the paper, and that the usual ResNet18's weights fit."""

import numpy as np
import pytest
import torch
from torch import nn

from training.nets.resnet18 import IMAGENET_MEAN, IMAGENET_STD, Ki67Net, load_imagenet

TABLE_2 = {
    "conv1": (64, 32, 32),
    "maxpool": (64, 16, 16),
    "layer1": (64, 16, 16),
    "layer2": (128, 8, 8),
    "layer3": (256, 4, 4),
    "layer4": (512, 2, 2),
}
SMALL = 1 / 16


def small_net(seed: int = 0) -> Ki67Net:
    """A narrow network whose batch norms have seen something."""
    torch.manual_seed(seed)
    net = Ki67Net(SMALL)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


def test_layers_have_the_shapes_of_table_2():
    net, shapes = Ki67Net(), {}
    for name in TABLE_2:
        getattr(net, name).register_forward_hook(
            lambda _module, _inputs, output, name=name: shapes.update({name: tuple(output.shape[1:])})
        )
    with torch.no_grad():
        assert net(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    assert shapes == TABLE_2
    assert net.fc.in_features == 512 * 2 * 2


def test_names_and_numbers_are_those_of_the_usual_resnet18():
    net = Ki67Net()
    state = net.state_dict()
    # ResNet18 without its last layer has 11,176,512 parameters; fc has 2048 x 3 + 3.
    assert sum(p.numel() for p in net.parameters()) == 11_176_512 + 6_147
    assert len(state) == 122
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer1.0.conv1.weight"].shape == (64, 64, 3, 3)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.0.downsample.1.running_var"].shape == (512,)
    assert state["layer4.1.bn2.weight"].shape == (512,)
    assert "layer1.0.downsample.0.weight" not in state
    assert not {name for name in state if name.endswith(("mean", "std")) and "running" not in name}


def test_imagenets_mean_and_spread_are_taken_off():
    assert IMAGENET_MEAN == (0.485, 0.456, 0.406)
    assert IMAGENET_STD == (0.229, 0.224, 0.225)
    image = torch.tensor(IMAGENET_MEAN).reshape(1, 3, 1, 1) + torch.tensor(IMAGENET_STD).reshape(1, 3, 1, 1)
    assert torch.allclose(small_net().normalised(image), torch.ones(1, 3, 1, 1), atol=1e-6)


def test_a_file_of_weights_is_taken_but_for_fc(tmp_path):
    given, net = small_net(1), small_net(2)
    arrays = {name: value.numpy() for name, value in given.state_dict().items() if "num_batches" not in name}
    np.savez(tmp_path / "weights.npz", **arrays)
    before = net.fc.weight.clone()
    taken = load_imagenet(net, tmp_path / "weights.npz")
    assert torch.equal(net.layer3[1].conv2.weight, given.layer3[1].conv2.weight)
    assert torch.equal(net.bn1.running_var, given.bn1.running_var)
    assert torch.equal(net.fc.weight, before)
    assert "fc.weight" not in taken
    assert len(taken) == 100
    torch.save(given.state_dict(), tmp_path / "weights.pth")
    assert len(load_imagenet(net, tmp_path / "weights.pth")) == 120


def test_weights_that_do_not_fit_are_refused(tmp_path):
    arrays = {name: value.numpy() for name, value in Ki67Net(1 / 8).state_dict().items()}
    np.savez(tmp_path / "wide.npz", **arrays)
    with pytest.raises(ValueError, match=r"need width = 1\.0"):
        load_imagenet(small_net(), tmp_path / "wide.npz")
    np.savez(tmp_path / "other.npz", weight=np.zeros(3))
    with pytest.raises(ValueError, match="has no conv1"):
        load_imagenet(small_net(), tmp_path / "other.npz")


def test_a_patch_without_a_middle_on_the_grid_is_refused():
    with pytest.raises(ValueError, match="96 px"):
        small_net()(torch.zeros(1, 3, 96, 96))
