"""``python -m tracer_interceptors path | run PROGRAM``: becomes the tool of that name, which the package brings."""

import os
import sys
from typing import NoReturn

from . import _LIB


def main() -> NoReturn:
    tool = os.path.join(_LIB, "tracer-interceptors")
    try:
        os.execv(tool, ["tracer-interceptors", *sys.argv[1:]])
    except OSError as error:
        sys.exit(f"tracer_interceptors: cannot run {tool}: {error}")


if __name__ == "__main__":
    main()
