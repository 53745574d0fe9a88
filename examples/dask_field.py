"""A field larger than the memory of all workers together: several processes write it to Zarr, then a region is read.

    python examples/dask_field.py [folder [GiB]]        # needs: pip install 'midtread[science]'

Each worker makes, compresses and writes whole chunks: no two write the same file, nobody holds more than one chunk, and
the bound holds for every value, whoever wrote it. Replace `waves` by what makes or reads your field. If it is a Dask
array already, all of this is `dask.array.store(field, target, lock=False)`.
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import zarr
from dask.distributed import Client, LocalCluster

from midtread.zarr import Field

CHUNK = 128  # values along each axis: 8 MiB of float32
WORKERS, WORKER_MIB = 2, 480  # half of it is Python and its libraries
MAX_ERROR = 1e-3  # in the units of the field


def waves(z: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The field at some coordinates, float32."""
    return np.sin(z / 20) + np.cos(y / 30) * np.sin(x / 10 + z / 50)


def part(box: tuple[slice, ...]) -> np.ndarray:
    """The field in a box."""
    return waves(*(axis.astype(np.float32) for axis in np.ogrid[box]))


def write(path: Path, corner: tuple[int, ...]) -> None:
    """One chunk, by one of the workers."""
    box = tuple(slice(start, start + CHUNK) for start in corner)
    zarr.open_array(path, mode="r+")[box] = part(box)


def main(folder: Path, gibibytes: float) -> None:
    """Write, then compare a region that crosses eight chunks with what it should be."""
    path, layers = folder / "waves.zarr", max(2, round(gibibytes * 2**30 / (16 * 4 * CHUNK**3)))
    target = zarr.create_array(
        path, shape=(layers * CHUNK, 4 * CHUNK, 4 * CHUNK), dtype="float32", chunks=3 * (CHUNK,),
        serializer=Field(max_error=MAX_ERROR, mode="fast"), compressors=None, overwrite=True,
    )  # fmt: skip
    corners = list(itertools.product(*(range(0, size, CHUNK) for size in target.shape)))
    cluster = LocalCluster(WORKERS, threads_per_worker=1, memory_limit=f"{WORKER_MIB}MiB", dashboard_address=None)
    with cluster, Client(cluster) as client:
        client.gather(client.map(write, [path] * len(corners), corners))
    whole, stored = target.nbytes >> 20, target.nbytes_stored() >> 20
    print(f"{whole} MiB by {WORKERS} workers of {WORKER_MIB} MiB: {stored} MiB in {target.nchunks} chunks")

    box = 3 * (slice(CHUNK - 10, CHUNK + 10),)
    error = np.abs(zarr.open_array(path, mode="r")[box].astype(np.float64) - part(box)).max()
    print(f"largest error around the corner of eight chunks: {error:.3g}, allowed {MAX_ERROR:g}")
    assert error <= MAX_ERROR


if __name__ == "__main__":
    main(Path(sys.argv[1] if sys.argv[1:] else "."), float(sys.argv[2]) if sys.argv[2:] else 2.0)
