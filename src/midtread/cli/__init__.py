"""The command line: read arguments, call one function, print one result. No thinking here.

Results go to stdout, progress and trouble to stderr. Exit 0: done; 1: the data or the machine refused; 2: bad usage.
"""

from __future__ import annotations

import sys
import warnings

from cyclopts import App, CycloptsError

from midtread import __version__
from midtread.errors import CodecError, UsageError

app = App(
    name="midtread",
    version=__version__,
    help="Compress, decompress and compare pictures with any codec, and measure codecs fairly.",
    help_format="plaintext",
)
_VERBS = {  # imported when they run: `midtread list` does without NumPy
    **{verb: f"midtread.cli.files:{verb}" for verb in ("encode", "decode", "transcode", "info", "compare")},
    **{verb: f"midtread.cli.bench:{verb}" for verb in ("bench", "report")},
    "train": "midtread.cli.train:train",
    "freeze": "midtread.cli.freeze:freeze",
    "list": "midtread.cli.lists:show",
}
for _verb, _target in _VERBS.items():
    app.command(_target, name=_verb)


def main(argv: list[str] | None = None) -> int:
    """Run one command. Returns the exit code; prints no traceback for anything a user can cause."""
    given = sys.argv[1:] if argv is None else argv
    if not given or given[0].startswith("-"):  # the help page has a line from each verb's own docstring
        for verb in _VERBS:
            app[verb]
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _say
            result = app(argv, exit_on_error=False, print_error=False, result_action="return_value")
        if isinstance(result, str):
            print(result)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # `midtread list | head`: the reader has what it wanted
        sys.stderr.close()
        return 0
    except CycloptsError as error:
        return _fail(str(error), 2)
    except UsageError as error:
        return _fail(str(error), 2)
    except (CodecError, OSError, MemoryError) as error:
        return _fail(str(error) or type(error).__name__, 1)
    except KeyboardInterrupt:
        return _fail("stopped", 1)


def _say(message: Warning | str, *_: object, **__: object) -> None:
    """A warning, without the lines of ours that it came from."""
    print(f"midtread: {message}", file=sys.stderr)


def _fail(message: str, code: int) -> int:
    print(f"midtread: {message}", file=sys.stderr)
    return code
