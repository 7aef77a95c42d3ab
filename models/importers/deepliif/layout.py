"""What a DeepLIIF model folder holds: which networks, by which naming, and how their masks are weighted."""

import re
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from models.errors import PackageInvalidError
from models.importers.deepliif.options import Options, read_options
from models.manifest_part import Colour

MODELS = ("DeepLIIF", "DeepLIIFKD")
"""The kinds whose inference is four (or so) translators and one segmenter more."""
NAMES = ("IHC", "Hema", "DAPI", "Lap2", "Marker")
BACKGROUNDS: tuple[Colour, ...] = ((201, 211, 208), (10, 10, 10), (0, 0, 0), (10, 10, 10))
TRAINED_WEIGHTS = (0.25, 0.15, 0.25, 0.1, 0.25)
PUBLISHED_WEIGHTS = (0.5, 0.0, 0.0, 0.0, 0.5)
"""What DeepLIIF takes for four modalities without names, whatever the options say: the published model."""
SCALE_SIZE_PX = 512
MOST_MODALITIES = 9


@dataclass(frozen=True)
class Modality:
    """A stain the model translates to."""

    net: str
    name: str
    background: Colour | None
    """What an empty tile shows."""


@dataclass(frozen=True)
class Layout:
    """A model folder, read: network names to files, and what the options say of them."""

    files: dict[str, Path]
    kind: str
    modalities: tuple[Modality, ...]
    segmenters: tuple[str, ...]
    """The network that takes the IHC first, then those that take the modalities; none where there is no mask."""
    weights: tuple[float, ...]
    """Of the segmenters' masks, in their order."""
    scale_size_px: int

    @property
    def uniform_weights(self) -> tuple[float, ...]:
        """What DeepLIIF's own commands for whole slides use instead of the options' weights."""
        return (1 / len(self.segmenters),) * len(self.segmenters)


def read_layout(folder: Path, epoch: str = "latest") -> Layout:
    """What a model folder holds; of a network in both formats the serialised one is taken, as DeepLIIF does.

    Parameters
    ----------
    epoch
        Which of the state dicts `<epoch>_net_<name>.pth`.

    Raises
    ------
    PackageInvalidError
        It is no folder of a model that is supported; the message says what was found.
    """
    if not folder.is_dir():
        raise PackageInvalidError(f"There is no folder {folder.name}.", "Give the folder of a DeepLIIF model.")
    options = read_options(folder)
    files = find_networks(folder, epoch)
    kind = _check_kind(options, files)
    modalities = _modalities(options, files)
    segmenters = _segmenters(options, files, len(modalities))
    scale = _whole(options, "scale_size", SCALE_SIZE_PX)
    if not 32 <= scale <= 4096:
        raise PackageInvalidError(f"scale_size is {scale}, not 32 to 4096.")
    return Layout(files, kind, modalities, segmenters, _weights(options, segmenters), scale)


def find_networks(folder: Path, epoch: str = "latest") -> dict[str, Path]:
    """Generators by name: `<name>.pt`, else `<epoch>_net_<name>.pth`."""
    dicts = {path.stem.removeprefix(f"{epoch}_net_"): path for path in sorted(folder.glob(f"{epoch}_net_*.pth"))}
    scripts = {path.stem: path for path in sorted(folder.glob("*.pt"))}
    return {name: path for name, path in (dicts | scripts).items() if name.startswith("G")}


def _check_kind(options: Options, files: dict[str, Path]) -> str:
    kind = str(options.get("model", MODELS[0]))
    if kind not in MODELS:
        raise PackageInvalidError(f"A model of the kind {kind[:40]} is not supported.", f"Give {' or '.join(MODELS)}.")
    if not files:
        raise PackageInvalidError("The folder holds no network: no G1.pt, no latest_net_G1.pth.")
    foreign = [name for name in files if not re.fullmatch(r"G[0-9S][0-9]*", name)]
    if foreign:
        raise PackageInvalidError(
            f"{', '.join(foreign[:9])} are no networks of DeepLIIF.",
            "DeepLIIFExt, SDG and CycleGAN name theirs with an underscore; they are not supported.",
        )
    if _whole(options, "input_no", 1) != 1:
        raise PackageInvalidError(f"The model takes {options['input_no']} pictures side by side, not one.")
    # Norms without weights and paddings by other rules have the same names: the file of weights would not tell.
    for key, possible in {"norm": ("batch",), "padding": ("zero", "reflect")}.items():
        if str(options.get(key, possible[0])) not in possible:
            raise PackageInvalidError(f"The option {key} is {str(options[key])[:40]}, not {' or '.join(possible)}.")
    return kind


def _modalities(options: Options, files: dict[str, Path]) -> tuple[Modality, ...]:
    found = max((i for i in range(1, MOST_MODALITIES + 1) if f"G{i}" in files), default=0)
    count = _whole(options, "modalities_no", found)
    if not 1 <= count <= MOST_MODALITIES:
        raise PackageInvalidError(f"The model has {count} modalities, not 1 to {MOST_MODALITIES}.")
    names, colours = _names(options, count), _colours(options, count)
    return tuple(Modality(f"G{i + 1}", names[i], colours[i]) for i in range(count))


def _names(options: Options, count: int) -> tuple[str, ...]:
    value = options.get("modalities_names")
    if value is None and count == len(NAMES) - 1:
        return NAMES[1:]
    given = tuple(str(v).strip() for v in (value.split(",") if isinstance(value, str) else _items(value)))
    given = tuple(name for name in given if name)
    if not given:
        return tuple(f"mod{i + 1}" for i in range(count))
    if len(given) not in (count, count + 1):
        raise PackageInvalidError(f"modalities_names has {len(given)} names for {count} modalities and the input.")
    return given[-count:]


def _colours(options: Options, count: int) -> tuple[Colour | None, ...]:
    value = options.get("background_colors")
    if value is None:
        return BACKGROUNDS if count == len(BACKGROUNDS) else (None,) * count
    try:
        colours = TypeAdapter(tuple[Colour, ...]).validate_python(value)
    except ValidationError:
        colours = ()
    if len(colours) != count:
        raise PackageInvalidError(f"background_colors must be {count} colours of three numbers from 0 to 255.")
    return colours


def _segmenters(options: Options, files: dict[str, Path], modalities: int) -> tuple[str, ...]:
    """G51 to G55 by old names, GS0 to GS4 by new ones: the longest name has the letter, the files the first number."""
    longest = max(files, key=len)
    letter = str(options["mod_id_seg"]) if options.get("mod_id_seg") is not None else longest[1]
    if options.get("seg_gen") is False or (len(longest) < 3 and options.get("mod_id_seg") is None):
        return ()
    if not re.fullmatch(r"[0-9S]", letter):
        raise PackageInvalidError(f"mod_id_seg is {letter[:40]}, not a digit or S.")
    base = 0 if f"G{letter}0" in files else 1
    return tuple(f"G{letter}{base + i}" for i in range(modalities + 1))


def _weights(options: Options, segmenters: tuple[str, ...]) -> tuple[float, ...]:
    if not segmenters:
        return ()
    if len(segmenters) == len(PUBLISHED_WEIGHTS) and options.get("modalities_names") is None:
        return PUBLISHED_WEIGHTS
    value = options.get("seg_weights")
    given = TRAINED_WEIGHTS if value is None else tuple(_items(value))
    numbers = tuple(float(v) for v in given if isinstance(v, (int, float)) and abs(v) <= 1e6)
    if len(numbers) != len(given) or len(numbers) != len(segmenters) or not any(numbers):
        raise PackageInvalidError(f"seg_weights are {str(given)[:80]}, not {len(segmenters)} numbers.")
    return numbers


def _items(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, (tuple, list)) else ()


def _whole(options: Options, key: str, default: int) -> int:
    value = options.get(key, default)
    if type(value) is not int:
        raise PackageInvalidError(f"The option {key} is {str(value)[:40]}, not a whole number.")
    return value
