"""Multiply-accumulates of a network, stage by stage, counted by PyTorch while the network runs on shapes alone.

A MAC is one multiplication with its addition: half of what `torch.utils.flop_counter` calls two operations. Counted
are convolutions, matrix products and attention. Element by element work (biases, activations, gains) is not: there is
one of it for each output, against hundreds of MACs.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

OWN = "own"  # what a module multiplies itself, outside of its children


def macs(module: nn.Module, *inputs: Any, **options: Any) -> dict[str, int]:
    """MACs of one call of `module`, by the child that did them; their sum is that of the whole call.

    Nothing is computed where it can be avoided: a copy runs on the meta device, which knows shapes only. A network
    that looks at values (`.item()`, indexing by a mask) has none there, and runs as it is.

    Args:
        module: any network; it is not changed.
        inputs: what the call takes; tensors of any dtype and device.
        options: the same by name.

    Returns:
        Name of a child -> MACs, in the order of the children, those that multiply; what the module did outside of
        them under `OWN`.
    """
    try:
        shadow = copy.deepcopy(module).to("meta")
        found = _count(shadow, [_to_meta(one) for one in inputs], {k: _to_meta(v) for k, v in options.items()})
    except (NotImplementedError, RuntimeError):  # no values there; what is really wrong is raised again below
        found = _count(module, list(inputs), options)
    return found


def _to_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, Tensor) else value


def _count(module: nn.Module, inputs: list[Any], options: dict[str, Any]) -> dict[str, int]:
    # the counter does not know the fused attention of the CPU
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        module(*inputs, **options)
    counts = {name: sum(operations.values()) // 2 for name, operations in counter.get_flop_counts().items()}
    root = type(module).__name__
    found: dict[str, int] = {}
    for child, _ in module.named_children():
        prefix = f"{root}.{child}"
        inside = [name for name in counts if name == prefix or name.startswith(prefix + ".")]
        # a list of modules is never called itself: then its members stand for it, but not what is inside of those
        top = [name for name in inside if not any(name.startswith(other + ".") for other in inside)]
        if total := sum(counts[name] for name in top):
            found[child] = total
    if own := counts.get("Global", 0) - sum(found.values()):
        found[OWN] = own
    return found
