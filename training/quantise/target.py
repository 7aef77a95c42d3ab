"""What a network can be put into, and what is said of each in manifest and card."""

from dataclasses import dataclass
from typing import Final, Literal

from models.manifest import Precision

Name = Literal["int8", "bf16"]


@dataclass(frozen=True)
class Target:
    """Numbers that a network can be computed in instead of float32."""

    name: Name
    title: str
    compared: str
    """After the name of each measure of the cost."""
    precision: Precision
    """Of what stays a float."""
    how: str
    """The card's first sentences."""
    differs: str
    """The card's sentences on other runtimes and processors."""


TARGETS: Final[dict[Name, Target]] = {
    "int8": Target(
        "int8",
        "8 bits",
        "8 bits against 32",
        "float32",
        "with weights and activations in 8 bits. It is faster where the processor has instructions for that and the "
        "runtime uses them (`--provider fastest`), and answers a little differently.",
        "Runtimes round half-way values differently: results of two providers differ more than those of the network in "
        "32 bits. The golden tolerance allows for that.",
    ),
    "bf16": Target(
        "bf16",
        "bfloat16",
        "bfloat16 against float32",
        "bfloat16",
        "computed in bfloat16: the same file, its numbers cut to 8 bits of mantissa while it runs. It runs on "
        "`openvino-cpu` alone, on processors that have bfloat16, where it is faster, and is refused elsewhere. It "
        "answers a little differently.",
        "Processors add up in another order, and what is rounded after each layer then falls to the other side here "
        "and there: results of two kinds of processor differ by up to about what either differs from float32 by. The "
        "golden tolerances, of means and of single values, are two and four times that difference on the golden tile.",
    ),
}
