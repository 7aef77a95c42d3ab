"""What a model folder is, told: modalities, the mask's weights, the networks' shapes, and what empty tiles show."""

from collections.abc import Mapping
from typing import Any

from models.importers.deepliif.layout import Layout
from models.importers.deepliif.plan import MASK, Plan
from models.manifest_part import Colour
from models.nets.shapes import Shape


def model_facts(layout: Layout, plan: Plan, shapes: Mapping[str, Shape]) -> dict[str, Any]:
    """What is known of a model and of what is computed of it, for JSON."""
    names = {modality.net: modality.name for modality in layout.modalities}
    colours = backgrounds_of(layout, plan)
    return {
        "kind": layout.kind,
        "scale_size_px": layout.scale_size_px,
        "outputs": [
            {
                "name": name,
                "net": None if net == MASK else net,
                "modality": "Seg" if net == MASK else names[net],
                "background": colours[name],
            }
            for name, net in plan.outputs
        ],
        "mask": [{"net": t.net, "source": t.source, "weight": t.weight} for t in plan.terms],
        "nets": {net: _described(shapes[net]) for net in plan.nets},
    }


def backgrounds_of(layout: Layout, plan: Plan) -> dict[str, Colour | None]:
    """What each output shows where a tile is empty: the mask black; None where the folder does not say."""
    colours = {modality.net: modality.background for modality in layout.modalities}
    return {name: (0, 0, 0) if net == MASK else colours[net] for name, net in plan.outputs}


def _described(shape: Shape) -> dict[str, Any]:
    return {"generator": type(shape).__name__.removesuffix("Shape").lower()} | vars(shape)
