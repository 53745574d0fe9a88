"""Context-modelled coding of wavelet bands, compiled; `wavelet_coder_slow` says what it does, and is the definition."""

from midtread.kernels.wavelet_decode import decode_block
from midtread.kernels.wavelet_encode import encode_block

__all__ = ["decode_block", "encode_block"]
