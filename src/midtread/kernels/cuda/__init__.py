"""GPU twins in numba-cuda: of the field kernels, the same numbers bit for bit; of `splat`, to float rounding.

No warp instructions and no count of threads that matters to whole numbers, so that the simulator of numba-cuda
(NUMBA_ENABLE_CUDASIM=1) runs them with few threads where there is no GPU. Sums of floats are added in an order that the
count of threads decides, and nothing else.
"""

from __future__ import annotations

from midtread.errors import MissingError, UsageError
from midtread.spec import missing


def require(who: str) -> None:
    """Refuse device="cuda" where it cannot be had.

    Args:
        who: asks, to begin the message with.

    Raises:
        MissingError: numba-cuda is not installed.
        UsageError: it finds no GPU.
    """
    if line := missing((("numba_cuda", "pip install 'midtread[gpu]'"),)):
        raise MissingError(f"{who}: device='cuda' needs numba-cuda: {line}")
    from numba import cuda

    if not cuda.is_available():
        raise UsageError(f"{who}: device='cuda' found no GPU with CUDA on this machine; leave device='cpu'")
