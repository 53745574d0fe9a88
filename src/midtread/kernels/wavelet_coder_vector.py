"""The two steps of `wavelet_coder` that look at all 16 symbols at once, written as vectors for LLVM.

The loop vectorizer unrolls such short loops into scalar code: three times slower. Same results on every machine; where
there are no vector units LLVM splits the vectors up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from midtread.kernels.wavelet_coder_slow import SEEN, SYMBOLS, TOTAL

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_I32, SYMBOLS)


def _constant(values: list[int]) -> ir.Constant:
    return ir.Constant(_VECTOR, [ir.Constant(_I32, value) for value in values])


_RAMP = _constant(list(range(SYMBOLS)))


def _splat(builder: ir.IRBuilder, value: Any) -> Any:
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), _constant([0] * SYMBOLS))


def _pointer(cg: Any, builder: ir.IRBuilder, kind: Any, models: Any, context: Any) -> Any:
    data = cg.make_array(kind)(cg, builder, models).data
    row = builder.mul(context, ir.Constant(_I64, SEEN + 1))
    return builder.bitcast(builder.gep(data, [row]), _VECTOR.as_pointer())


@intrinsic
def _find(typing: Any, models: Any, context: Any, slot: Any) -> tuple[Any, Callable[..., Any]]:
    """The symbol (int64) whose interval holds `slot` (int32) in models[context]; models [contexts, 18] int32."""

    def code(cg: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        pointer = _pointer(cg, builder, signature.args[0], args[0], args[1])
        row = builder.load(pointer, align=4)
        starts = builder.add(builder.ashr(row, _constant([8] * SYMBOLS)), _RAMP)
        below = builder.icmp_signed("<=", starts, _splat(builder, args[2]))
        count = builder.ctpop(builder.bitcast(below, ir.IntType(SYMBOLS)))
        return builder.sub(builder.zext(count, _I64), ir.Constant(_I64, 1))

    return types.int64(models, types.int64, types.int32), code


@intrinsic
def _move(typing: Any, models: Any, context: Any, symbol: Any, rate: Any) -> tuple[Any, Callable[..., Any]]:
    """Move models[context] 2**-rate of the way to `symbol` (both int32)."""

    def code(cg: Any, builder: ir.IRBuilder, signature: Any, args: Any) -> Any:
        pointer = _pointer(cg, builder, signature.args[0], args[0], args[1])
        row = builder.load(pointer, align=4)
        above = builder.icmp_signed(">", _RAMP, _splat(builder, args[2]))
        goal = builder.select(above, _constant([TOTAL] * SYMBOLS), _constant([0] * SYMBOLS))
        change = builder.ashr(builder.sub(goal, row), _splat(builder, args[3]))
        builder.store(builder.add(row, change), pointer, align=4)
        return cg.get_dummy_value()

    return types.void(models, types.int64, types.int32, types.int32), code


find: Any = _find  # numba's stubs show the typing context as an argument
move: Any = _move
