"""Questions are shared by those who ask before they begin, and by nobody else."""

from __future__ import annotations

import asyncio

import pytest

from platform_events.service.questions import SharedQuestions


def test_who_asks_while_one_is_under_way_shares_the_next() -> None:
    async def main() -> None:
        asked: list[asyncio.Future[int]] = []

        async def question() -> int:
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            asked.append(future)
            return await future

        questions: SharedQuestions[int] = SharedQuestions()
        first = asyncio.create_task(questions.ask("a", question))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        later = [asyncio.create_task(questions.ask("a", question)) for _ in range(50)]
        other = asyncio.create_task(questions.ask("b", question))
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(asked) == 2
        later.pop().cancel()
        asked[0].set_result(1)
        assert await first == 1
        while len(asked) < 3:
            await asyncio.sleep(0)
        asked[2].set_result(2)
        assert await asyncio.gather(*later) == [2] * 49
        asked[1].set_result(3)
        assert await other == 3
        assert questions._asked == questions._coming == {}

    asyncio.run(main())


def test_a_failure_is_everybody_s_and_not_that_of_the_next() -> None:
    async def main() -> None:
        outcomes = iter([ValueError("no"), 5])

        async def question() -> int:
            outcome = next(outcomes)
            if isinstance(outcome, int):
                return outcome
            raise outcome

        questions: SharedQuestions[int] = SharedQuestions()
        tasks = [asyncio.create_task(questions.ask("a", question)) for _ in range(3)]
        for task in tasks:
            with pytest.raises(ValueError, match="no"):
                await task
        assert await questions.ask("a", question) == 5

    asyncio.run(main())
