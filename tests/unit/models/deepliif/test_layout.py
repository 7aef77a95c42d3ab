"""Which networks a folder holds, how their masks are weighted, and what has to be computed for what is asked."""

import pytest

from models.errors import PackageInvalidError
from models.importers.deepliif.facts import backgrounds_of
from models.importers.deepliif.layout import read_layout
from models.importers.deepliif.plan import Term, plan_outputs

OLD = [f"G{i}" for i in range(1, 5)] + [f"G5{i}" for i in range(1, 6)]
NEW = [f"G{i}" for i in range(1, 5)] + [f"GS{i}" for i in range(5)]


def folder(path, names, options="", pattern="{}.pt"):
    path.mkdir(exist_ok=True)
    (path / "train_opt.txt").write_text("model: DeepLIIF\nmodalities_no: 4\n" + options)
    for name in names:
        (path / pattern.format(name)).write_bytes(b"")
    return path


def test_the_published_model(tmp_path):
    layout = read_layout(folder(tmp_path / "m", OLD, "seg_weights: [1, 0, 0, 0, 0]\n"))
    assert layout.segmenters == ("G51", "G52", "G53", "G54", "G55")
    assert layout.weights == (0.5, 0, 0, 0, 0.5)
    assert [m.name for m in layout.modalities] == ["Hema", "DAPI", "Lap2", "Marker"]
    assert [m.background for m in layout.modalities] == [(201, 211, 208), (10, 10, 10), (0, 0, 0), (10, 10, 10)]
    assert layout.scale_size_px == 512


def test_its_mask_needs_three_networks_of_nine(tmp_path):
    layout = read_layout(folder(tmp_path / "m", ["G4", "G51", "G55"]))
    plan = plan_outputs(layout, ("seg",))
    assert plan.translators == ("G4",)
    assert plan.terms == (Term("G55", "G4", 0.5), Term("G51", None, 0.5))
    with pytest.raises(PackageInvalidError, match="G1, G2, G3"):
        plan_outputs(layout)


def test_terms_are_in_the_order_of_their_sum(tmp_path):
    plan = plan_outputs(read_layout(folder(tmp_path / "m", OLD)), uniform_weights=True)
    assert [term.net for term in plan.terms] == ["G52", "G53", "G54", "G55", "G51"]
    assert [term.source for term in plan.terms] == ["G1", "G2", "G3", "G4", None]
    assert [term.weight for term in plan.terms] == [0.2] * 5
    assert plan.outputs == (("hema", "G1"), ("dapi", "G2"), ("lap2", "G3"), ("marker", "G4"), ("seg", "seg"))


def test_a_stain_alone_needs_one_network(tmp_path):
    plan = plan_outputs(read_layout(folder(tmp_path / "m", OLD)), ("dapi",))
    assert (plan.nets, plan.outputs) == (("G2",), (("dapi", "G2"),))


def test_new_names_and_named_modalities_take_the_files_weights(tmp_path):
    options = "modalities_names: ['IHC', 'A', 'B', 'C', 'Ki 67']\nseg_weights: 0.1,0.2,0.3,0.4,0\n"
    layout = read_layout(folder(tmp_path / "m", NEW, options))
    assert layout.segmenters == ("GS0", "GS1", "GS2", "GS3", "GS4")
    assert layout.weights == (0.1, 0.2, 0.3, 0.4, 0)
    plan = plan_outputs(layout)
    assert [name for name, _ in plan.outputs] == ["a", "b", "c", "ki-67", "seg"]
    assert [term.net for term in plan.terms] == ["GS1", "GS2", "GS3", "GS0"]


def test_without_weights_those_of_the_paper(tmp_path):
    layout = read_layout(folder(tmp_path / "m", NEW, "modalities_names: ['A', 'B', 'C', 'D']\n"))
    assert layout.weights == (0.25, 0.15, 0.25, 0.1, 0.25)


def test_the_letter_of_the_masks_may_be_stated(tmp_path):
    names = [f"G{i}" for i in range(1, 5)] + [f"G7{i}" for i in range(1, 6)] + ["G510"]
    layout = read_layout(folder(tmp_path / "m", names, "mod_id_seg: 7\n"))
    assert layout.segmenters == ("G71", "G72", "G73", "G74", "G75")


def test_two_modalities(tmp_path):
    options = "modalities_no: 2\nseg_weights: [0.2, 0.3, 0.5]\n"
    layout = read_layout(folder(tmp_path / "m", ["G1", "G2", "GS0", "GS1", "GS2"], options))
    assert [m.name for m in layout.modalities] == ["mod1", "mod2"]
    assert [m.background for m in layout.modalities] == [None, None]
    assert layout.weights == (0.2, 0.3, 0.5)


def test_what_empty_tiles_show_is_known_of_four_stains(tmp_path):
    layout = read_layout(folder(tmp_path / "m", OLD))
    assert backgrounds_of(layout, plan_outputs(layout, ("hema", "seg"))) == {"hema": (201, 211, 208), "seg": (0, 0, 0)}
    options = "modalities_no: 2\nseg_weights: [0.2, 0.3, 0.5]\n"
    layout = read_layout(folder(tmp_path / "two", ["G1", "G2", "GS0", "GS1", "GS2"], options))
    assert backgrounds_of(layout, plan_outputs(layout)) == {"mod1": None, "mod2": None, "seg": (0, 0, 0)}


def test_state_dicts_are_found_by_epoch_and_archives_go_first(tmp_path):
    path = folder(tmp_path / "m", OLD, pattern="latest_net_{}.pth")
    folder(path, OLD, pattern="100_net_{}.pth")
    folder(path, ["D1", "D51"], pattern="latest_net_{}.pth")
    (path / "G1.pt").write_bytes(b"")
    layout = read_layout(path)
    assert sorted(layout.files) == OLD
    assert (layout.files["G1"].name, layout.files["G2"].name) == ("G1.pt", "latest_net_G2.pth")
    assert read_layout(path, "100").files["G2"].name == "100_net_G2.pth"


@pytest.mark.parametrize(
    ("names", "options", "says"),
    [
        (OLD, "model: DeepLIIFExt\n", "DeepLIIFExt"),
        (OLD, "model: SDG\n", "SDG"),
        (OLD, "model: CycleGAN\n", "CycleGAN"),
        (["G_1", "G_2", "GS_1"], "", "underscore"),
        (["GA_1"], "", "underscore"),
        (OLD, "input_no: 2\n", "2 pictures"),
        (OLD, "norm: instance\n", "norm is instance"),
        (OLD, "padding: replicate\n", "padding is replicate"),
        (OLD, "modalities_no: 0\n", "0 modalities"),
        (OLD, "modalities_no: __import__('os')\n", "not a whole number"),
        (OLD, "scale_size: 100000\n", "scale_size"),
        (OLD, "background_colors: [(1, 2, 3)]\n", "background_colors"),
        (OLD, "background_colors: [(1, 2, 300)] * 4\n", "background_colors"),
        (OLD, "modalities_names: ['A', 'B', 'C', 'D']\nseg_weights: [1, 2]\n", "seg_weights"),
        (OLD, "modalities_names: ['A', 'B', 'C', 'D']\nseg_weights: [0, 0, 0, 0, 0]\n", "seg_weights"),
        (OLD, "modalities_names: ['A']\n", "modalities_names"),
        (OLD, "mod_id_seg: ../x\n", "mod_id_seg"),
        ([], "", "no network"),
    ],
)
def test_what_is_not_supported_is_refused(tmp_path, names, options, says):
    with pytest.raises(PackageInvalidError, match=says):
        read_layout(folder(tmp_path / "m", names, options))


@pytest.mark.parametrize("value", ["['A', 'a', 'C', 'D']", "['A', 'seg', 'C', 'D']", "['A', '??', 'C', 'D']"])
def test_names_that_cannot_name_outputs_are_refused(tmp_path, value):
    layout = read_layout(folder(tmp_path / "m", OLD, f"modalities_names: {value}\n"))
    with pytest.raises(PackageInvalidError, match="cannot name outputs"):
        plan_outputs(layout)


def test_an_unknown_output_is_refused(tmp_path):
    with pytest.raises(PackageInvalidError, match="hema, dapi, lap2, marker, seg"):
        plan_outputs(read_layout(folder(tmp_path / "m", OLD)), ("mask",))


def test_a_folder_of_translators_has_no_mask(tmp_path):
    layout = read_layout(folder(tmp_path / "m", ["G1", "G2", "G3", "G4"], "seg_gen: False\n"))
    assert (layout.segmenters, layout.weights) == ((), ())
    assert [name for name, _ in plan_outputs(layout).outputs] == ["hema", "dapi", "lap2", "marker"]
