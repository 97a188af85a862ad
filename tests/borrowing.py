"""A helper that only borrows some of its inputs: Tasks that belong to somebody else."""

from __future__ import annotations

from collections.abc import Collection

import waitkit
from playing import Conduct, Record


def borrowing(places: Collection[int]) -> Conduct:
    """Call the helper with the Tasks at these places as borrowed, and the others as they are."""

    async def conduct(record: Record) -> None:
        for task in record.tasks:  # the owner looks at what becomes of them
            task.add_done_callback(lambda task: task.cancelled() or task.exception())
        record.given = [
            waitkit.borrowed(task) if place in places else task
            for place, task in enumerate(record.tasks)
        ]
        await record.call_helper()

    return conduct


def check_that_nobody_has_touched(record: Record, places: Collection[int]) -> None:
    """R1: what is borrowed ends as if nobody had waited for it, and is not disposed of."""
    for place in places:
        job = record.schedule.jobs[place]
        how = job.kind if job.kind in ("error", "cancelled") else "value"
        assert (how, place) in record.ended
        assert record.ended_at[record.ended.index((how, place))] == job.delay
        assert place not in record.disposed
