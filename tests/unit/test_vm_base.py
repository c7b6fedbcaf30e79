"""Work of deployments that cannot be stopped."""

from __future__ import annotations

import asyncio

import pytest

from deploy.shield import to_its_end


def test_a_cancelled_task_waits_for_work_that_cannot_be_stopped() -> None:
    done: list[str] = []

    async def work() -> None:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        done.append("made")

    async def main() -> None:
        starting = asyncio.create_task(to_its_end(work()))
        await asyncio.sleep(0)
        starting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await starting
        done.append("ended")

    asyncio.run(main())
    assert done == ["made", "ended"]


def test_the_result_and_the_error_of_the_work_are_passed_on() -> None:
    async def work(number: int) -> float:
        return 1 / number

    assert asyncio.run(to_its_end(work(2))) == 0.5
    with pytest.raises(ZeroDivisionError):
        asyncio.run(to_its_end(work(0)))
