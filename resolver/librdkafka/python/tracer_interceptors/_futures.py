"""Futures of what a pool does for a task."""

import asyncio
from typing import Any, Generator

from ._note import tried


class Adopting(asyncio.Future):  # type: ignore[type-arg]
    """A future that gives its awaiter the message that was handed to a pool's thread on its behalf."""

    _awaited: Any = None

    @classmethod
    def of(cls, future: Any, awaited: Any) -> "Adopting":
        """The same future as one of these."""
        adopting = cls(loop=future.get_loop())
        adopting._awaited = awaited
        asyncio.futures._chain_future(future, adopting)  # type: ignore[attr-defined]
        return adopting

    def __await__(self) -> Generator[Any, None, Any]:
        result = yield from super().__await__()
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            tried(awaited.adopt)
        return result

    __iter__ = __await__
