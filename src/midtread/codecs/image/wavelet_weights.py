"""Fixed numbers of the `wavelet` codec: how much each neighbour says about the size of a coefficient.

Part of the format: once files exist, never change them, add a version. Set by hand, before any picture was measured.
"""

import numpy as np

_Y = [14, 3, 14, 5, 3, 6, 1, 4, 0, 0]
_C = [12, 2, 12, 4, 2, 4, 1, 3, 6, 6]
_LL = [18, 4, 18, 8, 4, 0, 0, 0, 0, 0]
# [role of the plane: luma, first and second colour difference][LL, HL, LH, HH][weights], in 1/64
WEIGHTS = np.array([[_LL, _Y, _Y, _Y], [_LL, _C, _C, _C], [_LL, _C, _C, _C]], np.int32)
