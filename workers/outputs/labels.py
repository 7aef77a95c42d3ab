"""What cells and points are called, and in which colour they are shown."""

from dataclasses import dataclass

from models.manifest import ClassSpec


@dataclass(frozen=True)
class Labels:
    """The names of findings: `default` for those without a vote, one of `classes` for the others."""

    default: ClassSpec
    classes: tuple[ClassSpec, ...] = ()

    def of(self, vote: int | None) -> ClassSpec:
        """The class of a finding."""
        return self.default if vote is None else self.classes[vote]
