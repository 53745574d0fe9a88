"""Whole numbers as bit planes, compiled; `field_planes_slow` says what it does, and is the definition.

A plane of a block is one comparison of 32 lanes whose results, one bit each, are the word: what a GPU calls a ballot.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import types

from midtread.kernels.jit import inlined, int64, intrinsic, jit, uint8, uint32, uint64

_WORD = ir.IntType(32)
_LANES = ir.VectorType(_WORD, 32)


def _splat(builder: Any, scalar: Any) -> Any:
    one = builder.insert_element(ir.Constant(_LANES, ir.Undefined), scalar, ir.Constant(_WORD, 0))
    return builder.shuffle_vector(one, ir.Constant(_LANES, ir.Undefined), ir.Constant(_LANES, [0] * 32))


def _address(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """Pointer to 32 lanes from array[at] on."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), _LANES.as_pointer())


@intrinsic
def _ballot(context: Any, values: Any, at: Any, bit: Any) -> Any:
    """uint32: bit i says whether values[at + i] & bit, i < 32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, bit = arguments
        lanes = builder.load(_address(context, builder, signature.args[0], array, index))
        lanes.align = 4
        zero = ir.Constant(_LANES, [0] * 32)
        set_bits = builder.icmp_unsigned("!=", builder.and_(lanes, _splat(builder, bit)), zero)
        return builder.bitcast(set_bits, _WORD)

    return types.uint32(values, types.uint64, types.uint32), generate


@intrinsic
def _scatter(context: Any, values: Any, at: Any, words: Any, q: Any, width: Any) -> Any:
    """values[at + i] = the number whose bit p is bit i of words[q + p], p < width; i < 32."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, index, words, q, width = arguments
        base = builder.gep(context.make_array(signature.args[2])(context, builder, words).data, [q])
        target = _address(context, builder, signature.args[0], array, index)
        before = builder.block
        loop, done = builder.append_basic_block("plane"), builder.append_basic_block("planes_done")
        zero = ir.Constant(_LANES, [0] * 32)
        nothing = ir.Constant(ir.IntType(64), 0)
        builder.cbranch(builder.icmp_unsigned("==", width, nothing), done, loop)
        builder.position_at_end(loop)
        plane, lanes = builder.phi(ir.IntType(64)), builder.phi(_LANES)
        plane.add_incoming(nothing, before)
        lanes.add_incoming(zero, before)
        word = builder.load(builder.gep(base, [plane]))
        mask = builder.bitcast(word, ir.VectorType(ir.IntType(1), 32))
        bit = builder.shl(ir.Constant(_WORD, 1), builder.trunc(plane, _WORD))
        more = builder.or_(lanes, builder.select(mask, _splat(builder, bit), zero))
        following = builder.add(plane, ir.Constant(ir.IntType(64), 1))
        plane.add_incoming(following, loop)
        lanes.add_incoming(more, loop)
        builder.cbranch(builder.icmp_unsigned("<", following, width), loop, done)
        builder.position_at_end(done)
        result = builder.phi(_LANES)
        result.add_incoming(zero, before)
        result.add_incoming(more, loop)
        builder.store(result, target).align = 4
        return context.get_dummy_value()

    return types.void(values, types.uint64, words, types.uint64, types.uint64), generate


@inlined
def _bit_length(value: Any) -> Any:
    length = uint64(0)
    while value >> length:
        length += uint64(1)
    return length


@jit
def widths(values: np.ndarray, out: np.ndarray) -> int:
    """Bits of the largest of each 32 values; see `field_planes_slow.widths`."""
    most = uint64(0)
    for block in range(out.size):
        union = uint32(0)
        start = uint64(block) * uint64(32)
        for i in range(32):
            union |= values[start + uint64(i)]
        length = _bit_length(uint64(union))
        out[block] = uint8(length)
        most = max(most, length)
    return int64(most)


@jit
def pack(values: np.ndarray, width: np.ndarray, base: int, words: np.ndarray) -> int:
    """Blocks of 32 values -> planes; see `field_planes_slow.pack`."""
    q = uint64(0)
    for block in range(width.size):
        at = uint64(block) * uint64(32)
        count = uint64(width[block]) + uint64(base) if width[block] else uint64(0)
        for plane in range(count):
            words[q] = _ballot(values, at, uint32(1) << uint32(plane))
            q += uint64(1)
    return int64(q)


@jit
def unpack(words: np.ndarray, width: np.ndarray, base: int, values: np.ndarray) -> None:
    """Undo `pack`."""
    q = uint64(0)
    for block in range(width.size):
        count = uint64(width[block]) + uint64(base) if width[block] else uint64(0)
        _scatter(values, uint64(block) * uint64(32), words, q, count)
        q += count
