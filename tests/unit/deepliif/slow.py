"""DeepLIIF's rules pixel by pixel, as the facts are written: slow, for small pictures."""

import math
from collections import deque

import numpy as np

SIDES = ((0, -1), (-1, 0), (1, 0), (0, 1))
AROUND = ((-1, -1), (0, -1), (1, -1), (-1, 0), (1, 0), (-1, 1), (0, 1), (1, 1))
NAMES = {
    "E": (1, 0),
    "NE": (1, -1),
    "N": (0, -1),
    "NW": (-1, -1),
    "W": (-1, 0),
    "SW": (-1, 1),
    "S": (0, 1),
    "SE": (1, 1),
}
TURNING = ("E", "SE", "S", "SW", "W", "NW", "N", "NE")


def classes(seg, threshold=120, green=80):
    found = [[0] * seg.shape[1] for _ in range(seg.shape[0])]
    for y, row in enumerate(seg.tolist()):
        for x, (r, g, b) in enumerate(row):
            if r + b > threshold and g <= green:
                found[y][x] = 1 if r >= b else 2
    return found


def near(x, y, width, height, steps):
    return [(x + dx, y + dy) for dx, dy in steps if 0 <= x + dx < width and 0 <= y + dy < height]


def flood(starts, inside, width, height, steps):
    seen, waiting = set(starts), deque(starts)
    while waiting:
        for place in near(*waiting.popleft(), width, height, steps):
            if place not in seen and inside(*place):
                seen.add(place)
                waiting.append(place)
    return seen


def components(kind):
    """Lists of (x, y) in raster order, in raster order of their first pixels."""
    height, width = len(kind), len(kind[0])
    edge = [(x, y) for y in range(height) for x in range(width) if x in (0, width - 1) or y in (0, height - 1)]
    background = flood([p for p in edge if not kind[p[1]][p[0]]], lambda x, y: not kind[y][x], width, height, SIDES)
    found, taken = [], set(background)
    for y in range(height):
        for x in range(width):
            if (x, y) not in taken:
                cell = flood([(x, y)], lambda a, b: (a, b) not in background, width, height, AROUND)
                taken |= cell
                found.append(sorted(cell, key=lambda p: (p[1], p[0])))
    return found


def half_even(total, count):
    whole, rest = divmod(total, count)
    if 2 * rest == count:
        return whole + whole % 2
    return whole + (2 * rest > count)


def od(pixel):
    return round(100 * sum(math.log10(255 / (v or 1)) for v in pixel))


def facts(pixels, kind, marker, ihc):
    """One row of the table of cells."""
    n = len(pixels)
    xs, ys = [x for x, _ in pixels], [y for _, y in pixels]
    votes = [kind[y][x] for x, y in pixels]
    return {
        "first": pixels[0],
        "size": n,
        "votes": (votes.count(1), votes.count(2)),
        "centre": (half_even(sum(xs), n), half_even(sum(ys), n)),
        "box": (min(xs), min(ys), max(xs), max(ys)),
        "marker": max(int(marker[y, x].max()) for x, y in pixels),
        "od": half_even(sum(od(ihc[y, x].tolist()) for x, y in pixels), n),
    }


def size_threshold(sizes, limits):
    lowest, usual, highest = limits
    if len(sizes) <= 1:
        return 0
    sides = [math.sqrt(size) for size in sizes]
    step = (max(sides) + 1) / 500
    density = []
    for i in range(500):
        total = sum(math.exp(-((i * step - s) ** 2) / 2) / math.sqrt(2 * math.pi) for s in sides)
        density.append(np.float32(total / len(sides)))
    dip = next((i for i in range(1, 499) if density[i] < density[i - 1] and density[i] < density[i + 1]), 1)
    side = (dip - 1) * step
    if side < lowest:
        side = lowest
    elif side > highest:
        side = usual
    return round(side**2)


def borders(cells, counted, positive, width, height):
    """Class of the border at (x, y): 1 positive, 2 negative; as pictures (a) and (b) say."""
    owned = {p for cell in cells for p in cell}
    kind = {i: 1 if positive[i] else 2 for i in range(len(cells))}
    border = {}
    for i, cell in enumerate(cells):
        if not counted[i]:
            continue
        for p in cell[1:]:
            for place in near(*p, width, height, SIDES):
                if place not in owned:
                    border.setdefault(place, kind[i])
        border[cell[0]] = kind[i]
    for _ in range(2):
        grown = dict(border)
        for y in range(height):
            for x in range(width):
                beside = [p for p in near(x, y, width, height, AROUND) if p in border]
                if (x, y) not in owned and (x, y) not in border and beside:
                    grown[x, y] = border[min(beside, key=lambda p: (p[1], p[0]))]
        border = grown
    return border


def boundary(cell):
    """The walk around a cell: its first point and those where it turns."""
    start = cell[0]
    cell = set(cell)
    before = next((p for n in ("SW", "S", "SE", "E", "NE", "N", "NW") if (p := step(start, n)) in cell), None)
    if before is None:
        return [start]
    here, last, walk, names = start, before, [], []
    while True:
        back = next(i for i, n in enumerate(TURNING) if step(here, n) == last)
        name = next(n for n in (TURNING[(back + k) % 8] for k in range(1, 9)) if step(here, n) in cell)
        walk.append(here)
        names.append(name)
        last, here = here, step(here, name)
        if (last, here) == (before, start):
            return [p for i, p in enumerate(walk) if i == 0 or names[i] != names[i - 1]]


def step(place, name):
    return place[0] + NAMES[name][0], place[1] + NAMES[name][1]


def mirror(length, wanted):
    period = [*range(length), *reversed(range(length))]
    return [period[i % len(period)] for i in range(wanted)]


def stitched(rgb, tile, answer):
    """Every run of DeepLIIF's grid, those done twice too, pasted one after another; `answer` maps tile to picture."""
    height, width = rgb.shape[:2]
    image = rgb[mirror(height, max(height, tile))][:, mirror(width, max(width, tile))]
    tall, wide = image.shape[:2]
    out, runs = np.zeros_like(image), 0
    margin = {length: 0 if length <= tile else tile // 16 for length in (tall, wide)}
    for y0 in range(0, tall, tile - 2 * margin[tall]):
        for x0 in range(0, wide, tile - 2 * margin[wide]):
            x, y, runs = min(x0, wide - tile), min(y0, tall - tile), runs + 1
            picture = answer(image[y : y + tile, x : x + tile])
            left, right = (0 if x == 0 else margin[wide]), (tile if x == wide - tile else tile - margin[wide])
            top, bottom = (0 if y == 0 else margin[tall]), (tile if y == tall - tile else tile - margin[tall])
            out[y + top : y + bottom, x + left : x + right] = picture[top:bottom, left:right]
    return out[:height, :width], runs
