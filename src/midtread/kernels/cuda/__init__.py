"""GPU twins of the field kernels, in numba-cuda: the same numbers as the CPU's, bit for bit.

No warp instructions and no count of threads that matters: a block of any size gives the same result, so that the
simulator of numba-cuda (NUMBA_ENABLE_CUDASIM=1) runs them with 32 threads where there is no GPU.
"""
