"""What has to be computed for the outputs that were asked for, and no more."""

from dataclasses import dataclass

from models.errors import PackageInvalidError
from models.importers.deepliif.layout import Layout

MASK = "seg"


@dataclass(frozen=True)
class Term:
    """One mask in the weighted sum."""

    net: str
    source: str | None
    """The translator whose answer it takes; None: the IHC itself."""
    weight: float


@dataclass(frozen=True)
class Plan:
    """Networks to run: translators in order, then the sum's terms in order; and what is given out."""

    translators: tuple[str, ...]
    terms: tuple[Term, ...]
    outputs: tuple[tuple[str, str], ...]
    """(name, translator) in order; the translator is `MASK` for the mask."""

    @property
    def nets(self) -> tuple[str, ...]:
        """Names of all networks that are run."""
        return (*self.translators, *(term.net for term in self.terms))


def shows(name: str, net: str) -> str | None:
    """What an output shows without its having been measured; None of the mask, which is read from the slide."""
    return None if net == MASK else f"{name} (virtual stain)"


def output_name(modality: str) -> str:
    """A modality's name as an output may have it: lower-case letters, digits and dashes."""
    kept = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in modality.lower())
    return kept.strip("-")[:40]


def plan_outputs(layout: Layout, only: tuple[str, ...] = (), uniform_weights: bool = False) -> Plan:
    """The networks that these outputs need; all outputs where none are named.

    Terms are in the order in which DeepLIIF adds them: those of the modalities, then that of the IHC. Those of weight 0
    are left out: with the published weights the mask needs three networks of nine.

    Raises
    ------
    PackageInvalidError
        There is no such output, or a network it needs is not in the folder.
    """
    possible = {output_name(modality.name): modality.net for modality in layout.modalities}
    if len(possible) != len(layout.modalities) or MASK in possible or "" in possible:
        raise PackageInvalidError(f"The names {', '.join(m.name for m in layout.modalities)} cannot name outputs.")
    if layout.segmenters:
        possible[MASK] = MASK
    unknown = [name for name in only if name not in possible]
    if unknown:
        raise PackageInvalidError(f"There is no output {', '.join(unknown)[:80]}.", f"Ask for {', '.join(possible)}.")
    outputs = tuple((name, net) for name, net in possible.items() if not only or name in only)
    terms = _terms(layout, uniform_weights) if (MASK, MASK) in outputs else ()
    used = {net for _, net in outputs} | {term.source for term in terms}
    plan = Plan(tuple(m.net for m in layout.modalities if m.net in used), terms, outputs)
    missing = [net for net in plan.nets if net not in layout.files]
    if missing:
        raise PackageInvalidError(f"The folder holds no network {', '.join(missing)}.", "Ask for other outputs.")
    return plan


def _terms(layout: Layout, uniform: bool) -> tuple[Term, ...]:
    weights = layout.uniform_weights if uniform else layout.weights
    sources = (None, *(modality.net for modality in layout.modalities))
    terms = [Term(*term) for term in zip(layout.segmenters, sources, weights, strict=True)]
    return tuple(term for term in (*terms[1:], terms[0]) if term.weight)
