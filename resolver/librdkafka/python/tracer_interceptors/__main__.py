"""``python -m tracer_interceptors path | run PROGRAM``: becomes the tool of that name, which the package brings."""

import os
import signal
import sys
from typing import NoReturn

from . import _LIB


def main() -> NoReturn:
    tool = os.path.join(_LIB, "tracer-interceptors")
    # Python ignores these from its start on, and so would the program. How they were before is not known any more:
    # it gets the system's default, as from `subprocess`.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execv(tool, ["tracer-interceptors", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"tracer_interceptors: cannot run {tool}: {error}")


if __name__ == "__main__":
    main()
