"""Questions that many ask at the same time, asked once for all of them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Hashable

Answer = TypeVar("Answer")


class SharedQuestions(Generic[Answer]):
    """Asks the same question once at a time. For the event loop.

    Whoever asks before the next one begins shares it, so that no answer is older than its question.
    """

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[Answer]] = {}
        self._coming: dict[Hashable, asyncio.Task[Answer]] = {}
        """Those that have not begun."""

    async def ask(self, about: Hashable, question: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return the answer; raises what `question` does."""
        task = self._coming.get(about)
        if task is None:
            task = asyncio.create_task(self._ask_next(about, question))
            self._coming[about] = task
        return await asyncio.shield(task)

    async def _ask_next(self, about: Hashable, question: Callable[[], Awaitable[Answer]]) -> Answer:
        before = self._asked.get(about)
        if before is not None:
            await asyncio.wait([before])
        task = self._asked[about] = self._coming.pop(about)
        try:
            return await question()
        finally:
            if self._asked.get(about) is task:
                del self._asked[about]
