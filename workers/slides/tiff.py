"""Slides of the TIFF family: metadata through tiffslide, pixels through our own tiles."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tiffslide import TiffSlide

from models.errors import SlideUnreadableError, SlideUnsupportedError
from workers.geometry import Box
from workers.slides.byte_file import ByteFile
from workers.slides.codecs import COMPRESSIONS, Decode, make_decoder, require_rgb
from workers.slides.mpp import resolve_mpp
from workers.slides.parsing import parsing
from workers.slides.pyramid import PyramidSlide, level_downsample
from workers.slides.scrub import technical_fields
from workers.slides.slide import RGB, Level, SlideInfo
from workers.slides.tiff_header import TiffHeader, read_tiff_header, text
from workers.slides.tiff_layout import Layout, read_layout
from workers.slides.tiff_tiles import TiffTiles
from workers.slides.tile_cache import TileCache
from workers.slides.tiled_level import TiledLevel, TileGrid

IMAGE_DESCRIPTION, SOFTWARE, MODEL = 270, 305, 272
