"""Which of two equal twins should run: the compiled one or the slow one."""

import sys
from importlib import import_module
from types import ModuleType

# Importing numba and loading a cached kernel costs over a second of CPU time: more than the slow twins need for this.
WORTH_COMPILING = 100_000


def pick(name: str, size: int) -> ModuleType:
    """The module `midtread.kernels.<name>`, or its equal `<name>_slow` while `size` samples are too few to pay for it.

    Both have the same functions and give the same results, so the choice is only one of speed.
    """
    module = f"midtread.kernels.{name}"
    if size < WORTH_COMPILING and module not in sys.modules:
        module += "_slow"
    return import_module(module)
