"""The layout is a promise: imports point down, files stay small, the front door stays cheap."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "midtread"

# Ground floor first. A room may import only rooms of lower floors (and itself); rooms on one line may not import each
# other. docs/map.md draws the same house.
FLOORS = [
    "errors",
    "registry",
    "spec",
    "container kernels",
    "media",
    "metrics entropy quantize nn",
    "transforms",
    "codecs",
    "bench train",
    "cli",
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms.split()}
# These stand outside the house and may use all of it; nothing in the house may import them.
DOORS = {"__init__", "__main__", "pillow", "zarr", "numcodecs"}

MODULES = sorted(PACKAGE.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(path: Path) -> set[str]:
    """Rooms of midtread that a module imports anywhere, also inside functions and under TYPE_CHECKING."""
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: write imports in full"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            parts = name.split(".")
            if parts[0] == "midtread":
                rooms.add(parts[1] if len(parts) > 1 else "the front door")
    return rooms


def test_imports_point_strictly_down():
    wrong = []
    for path in MODULES:
        room = room_of(path)
        if room in DOORS:
            continue
        for target in imported_rooms(path) - {room}:
            if target == "__version__":
                continue
            if FLOOR_OF.get(target, 99) >= FLOOR_OF[room]:
                wrong.append(f"{path.relative_to(PACKAGE)} imports {target}")
    assert not wrong


def test_every_room_has_a_floor():
    assert {room_of(path) for path in MODULES} - DOORS == set(FLOOR_OF)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_and_functions_stay_small(path):
    text = path.read_text()
    assert text.count("\n") <= 400, "a file is about one topic: split it"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = node.end_lineno - node.lineno + 1
            assert lines <= 60, f"{node.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_public_functions_are_documented_and_annotated(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree), "say what this module is"
    scopes = [tree, *[node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]]
    for scope in scopes:
        for node in scope.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                override = isinstance(scope, ast.ClassDef) and scope.bases  # documented where it is declared
                assert ast.get_docstring(node) or override, f"{node.name} has no docstring"
                assert node.returns is not None, f"{node.name} has no return type"


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


HEAVY = [
    "numpy", "numba", "torch", "scipy", "imagecodecs", "PIL", "onnxruntime", "duckdb", "rich",
    "zarr", "numcodecs", "h5py",
]  # fmt: skip


def test_importing_the_package_imports_nothing_heavy():
    loaded = run_python(f"import sys, midtread; print([m for m in {HEAVY} if m in sys.modules])")
    assert loaded == "[]"


def test_listing_codecs_and_metrics_imports_no_backend():
    code = f"""
import sys
from midtread.registry import CODECS, METRICS
for registry in (CODECS, METRICS):
    for name in registry.names():
        registry.get(name)
print([m for m in {HEAVY} if m != "numpy" and m in sys.modules])
"""
    assert run_python(code) == "[]"


def test_only_the_command_line_prints():
    for path in MODULES:
        if room_of(path) in ("cli",):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id
            assert called not in ("print", "exit", "breakpoint"), f"{path.name} calls {called}"


CLOCKS = {"gaussians_fit.py"}  # a fit ends after the seconds that its caller gave


def test_only_the_bench_reads_a_clock():
    for path in MODULES:
        if room_of(path) in ("bench", "cli") or path.name in CLOCKS:
            continue
        text = path.read_text()
        assert not re.search(r"perf_counter|monotonic|time\.time\(", text), path.name
