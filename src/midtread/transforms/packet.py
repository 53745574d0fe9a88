"""Wavelet packets: any band may be split again, not only the lowest.

A node is named by the bands passed on the way down from the plane: "" is the plane, "HL/LL" the low band of its HL.
A tree is the set of the nodes that are split. Latents have the shape of the signal; every split happens in place.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from midtread.errors import UsageError
from midtread.kernels.twins import pick
from midtread.transforms.base import Band, Transform, as_floats, as_integer_latents, as_integers, check_whole
from midtread.transforms.wavelet import synthesis_norm

MOST_LEVELS = 10
MOST_SEARCHED = 6  # levels that `best_tree` looks through: 4^6 bands
KINDS = ("LL", "HL", "LH", "HH")
_ONES = np.ones((1, 4), np.float32)


@dataclass(frozen=True)
class _Node:
    """A rectangle of the plane, and the filters passed on the way to it along each axis."""

    name: str
    top: int
    left: int
    height: int
    width: int
    along_y: str
    along_x: str

    @property
    def index(self) -> tuple[slice, slice]:
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)

    def children(self) -> list[_Node]:
        """LL, HL, LH, HH, without the empty ones; an axis of length 1 is not split."""
        hl, wl = (self.height + 1) // 2, (self.width + 1) // 2
        parts = []
        for kind in KINDS:
            top, height = (0, hl) if kind[1] == "L" else (hl, self.height - hl)
            left, width = (0, wl) if kind[0] == "L" else (wl, self.width - wl)
            along_y = self.along_y + (kind[1] if self.height > 1 else "")
            along_x = self.along_x + (kind[0] if self.width > 1 else "")
            if height and width:
                name = f"{self.name}/{kind}" if self.name else kind
                parts.append(_Node(name, self.top + top, self.left + left, height, width, along_y, along_x))
        return parts


@dataclass(frozen=True)
class _Packet(Transform):
    """What both packets share: the tree and its leaves."""

    levels: int = 3
    splits: tuple[str, ...] | None = None  # the nodes that are split; None: all, down to `levels`

    def __post_init__(self) -> None:
        who = f"transform {self.name!r}"
        check_whole(who, "levels", self.levels, 0, MOST_LEVELS)
        for name in self.splits or ():
            path = name.split("/") if name else []
            if any(kind not in KINDS for kind in path) or len(path) >= self.levels:
                raise UsageError(
                    f"{who}: splits has {name!r}; nodes are like 'HL/LL' ('' is the plane), of at most "
                    f"{self.levels - 1} parts"
                )
            if path and "/".join(path[:-1]) not in (self.splits or ()):
                raise UsageError(f"{who}: splits has {name!r} but not its parent {'/'.join(path[:-1])!r}")

    def _split_nodes(self, shape: tuple[int, ...]) -> tuple[list[_Node], list[_Node]]:
        """The nodes that are split, parents first, and the leaves, in the order of the tree."""
        inner, leaves = [], []
        stack = [_Node("", 0, 0, shape[-2], shape[-1], "", "")]
        while stack:
            node = stack.pop()
            level = node.name.count("/") + 1 if node.name else 0
            wanted = level < self.levels if self.splits is None else node.name in self.splits
            if wanted and (node.height > 1 or node.width > 1):
                inner.append(node)
                stack.extend(reversed(node.children()))
            else:
                leaves.append(node)
        return inner, leaves

    def _leaf_bands(self, shape: tuple[int, ...], wavelet: str) -> tuple[Band, ...]:
        _, leaves = self._split_nodes(shape)
        return tuple(
            Band(
                leaf.name or "all",
                (..., *leaf.index),
                synthesis_norm(wavelet, leaf.along_y) * synthesis_norm(wavelet, leaf.along_x),
                leaf.name.count("/") + 1 if leaf.name else 0,
                leaf.name[-2:],
            )
            for leaf in leaves
        )

    def _in_place(self, z: np.ndarray, nodes: list[_Node], change: Callable[[np.ndarray, np.ndarray], None]) -> None:
        planes = z.reshape(-1, *z.shape[-2:])
        for node in nodes:
            part = np.ascontiguousarray(planes[:, *node.index])
            out = np.empty_like(part)
            change(part, out)
            planes[:, *node.index] = out


@dataclass(frozen=True)
class Packet53(_Packet):
    """Reversible 5/3 wavelet packet; integers and their widths as for `Wavelet53`."""

    name: ClassVar[str] = "packet53"
    summary: ClassVar[str] = "reversible 5/3 wavelet packet (lossless)"
    exact: ClassVar[bool] = True
    linear: ClassVar[bool] = False

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents int16 or int32 of integer planes [..., H, W]."""
        z = as_integers(x, f"transform {self.name!r}").copy()
        nodes, _ = self._split_nodes(z.shape)
        self._in_place(z, nodes, lambda part, out: pick("wavelet53", z.size).forward(part, out, 1))
        return z

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """Samples int16 or int32, as the latents are."""
        x = as_integer_latents(latents, f"transform {self.name!r}").copy()
        nodes, _ = self._split_nodes(x.shape)
        self._in_place(x, nodes[::-1], lambda part, out: pick("wavelet53", x.size).inverse(part, out, 1, 0))
        return x

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """The leaves, in the order of the tree."""
        return self._leaf_bands(shape, "53")


@dataclass(frozen=True)
class Packet97(_Packet):
    """9/7 wavelet packet in float32; every leaf is scaled to unit norm, as in `Wavelet97`."""

    name: ClassVar[str] = "packet97"
    summary: ClassVar[str] = "9/7 wavelet packet in float32, every band of unit norm"
    exact: ClassVar[bool] = False
    linear: ClassVar[bool] = True

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Latents float32 of planes [..., H, W]."""
        z = as_floats(x, f"transform {self.name!r}").copy()
        nodes, _ = self._split_nodes(z.shape)
        self._in_place(z, nodes, lambda part, out: pick("wavelet97", z.size).forward(part, out, _ONES))
        for band in self._leaf_bands(z.shape, "97"):
            band.of(z)[...] *= np.float32(band.norm)
        return z

    def inverse(self, latents: np.ndarray) -> np.ndarray:
        """Samples float32."""
        x = as_floats(latents, f"transform {self.name!r}").copy()
        for band in self._leaf_bands(x.shape, "97"):
            band.of(x)[...] *= np.float32(1 / band.norm)
        nodes, _ = self._split_nodes(x.shape)
        self._in_place(x, nodes[::-1], lambda part, out: pick("wavelet97", x.size).inverse(part, out, _ONES, 0))
        return x

    def bands(self, shape: tuple[int, ...]) -> tuple[Band, ...]:
        """The leaves, in the order of the tree."""
        bands = self._leaf_bands(shape, "97")
        return tuple(Band(band.name, band.index, 1.0, band.level, band.kind) for band in bands)


def log_cost(latents: np.ndarray) -> float:
    """Sum of log2(1 + |z|): about the bits of the latents at a step of 1."""
    return float(np.log2(1 + np.abs(latents, dtype=np.float64)).sum())


def best_tree(
    x: np.ndarray,
    packet: type[Packet53] | type[Packet97],
    levels: int,
    cost: Callable[[np.ndarray], float] = log_cost,
) -> Packet53 | Packet97:
    """The packet of at most `levels` whose leaves cost least on `x`, for a cost that adds up over bands.

    Source: Coifman & Wickerhauser, "Entropy-based algorithms for best basis selection", IEEE Trans. Inf. Theory 38(2),
    1992 (a node is split where its children together cost less).
    """
    check_whole("best_tree", "levels", levels, 0, MOST_SEARCHED)
    price: dict[str, float] = {}
    kept: set[str] = set()
    for level in range(levels, -1, -1):  # leaves first: what a node costs unsplit, or split at its best
        names = _names_of_level(level)
        shallow = packet(level, tuple(name for lower in range(level) for name in _names_of_level(lower)))
        latents = shallow.forward(x)
        for band in shallow.bands(x.shape):
            name = "" if band.name == "all" else band.name
            price[name] = cost(band.of(latents))
        for name in names:
            children = [f"{name}/{kind}" if name else kind for kind in KINDS]
            split = sum(price.get(child, 0.0) for child in children)
            if level < levels and any(child in price for child in children) and split < price.get(name, 0.0):
                price[name] = split
                kept.add(name)
    return packet(levels, tuple(sorted(_reachable(kept), key=lambda name: (name.count("/"), name))))


def _names_of_level(level: int) -> list[str]:
    names = [""]
    for _ in range(level):
        names = [f"{name}/{kind}" if name else kind for name in names for kind in KINDS]
    return names


def _reachable(kept: Collection[str]) -> set[str]:
    """Nodes whose ancestors are all split too."""
    parents = {name: ["/".join(name.split("/")[:i]) for i in range(len(name.split("/")))] for name in kept if name}
    return {name for name in kept if all(parent in kept for parent in parents.get(name, []))}
