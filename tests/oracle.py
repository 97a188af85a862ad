"""Every helper as a plain loop on `asyncio.wait`: slow, never cancelled, and obviously right."""

from __future__ import annotations

from asyncio import FIRST_COMPLETED, Task, get_running_loop, sleep, wait
from math import inf

import waitkit
from cast import Entry
from playing import Record
from schedules import FAILURES_AS_DATA, RACES, STREAMS

THE_END = -1  # what an iterator has behind its last input: only who asks finds out


async def conduct(record: Record) -> None:
    """What `play(helper, schedule, conduct)` runs in the helper's place."""
    helper, schedule, loop = record.helper, record.schedule, get_running_loop()
    as_data, consuming = helper in FAILURES_AS_DATA, helper in STREAMS
    closing, keeping = False, True
    limit = schedule.limit if schedule.limit and helper != "first_completed" else inf
    room = schedule.room() if consuming else inf
    free_at, deadline = 0.0, inf if schedule.timeout is None else schedule.timeout
    todo = [*range(record.count), *([] if schedule.sized else [THE_END])]
    tasks: dict[Task[int], int] = {}
    order: list[Task[int]] = []  # as they ended, which the sets of `wait` do not tell
    ready: list[Entry] = []  # what has ended and is not delivered
    failures: dict[int, Exception] = {}
    verdict: Exception | None = None

    def start() -> None:
        while todo and not closing and len(tasks) < limit and len(tasks) + len(ready) < room:
            if (index := todo.pop(0)) != THE_END:
                task = record.tasks[index] if record.tasks else loop.create_task(record.make(index))
                task.add_done_callback(order.append)
                tasks[task] = index

    def close(error: Exception | None = None, *, keep: bool = False) -> None:
        nonlocal closing, keeping, verdict
        for task in tasks if not closing else ():
            task.cancel()
        closing, keeping, verdict = True, keep, error

    def judge(task: Task[int], index: int) -> None:
        lost = task.cancelled()
        error = waitkit.JobCancelledError() if lost else task.exception()
        if error is None and keeping:
            ready.append(("value", index))
            if helper in RACES:
                close()
        elif error is None:
            record.dispose(index)
        elif keeping and as_data:
            ready.append(("error" if not lost else "deadline" if closing else "external", index))
        elif keeping and isinstance(error, Exception):
            error.add_note(f"raised by input {index}")
            failures[index] = error
            if helper != "first_success":
                close(error)

    start()
    for task in [task for task in tasks if task.done() and deadline <= 0]:
        judge(task, tasks.pop(task))
    while True:
        if loop.time() >= deadline and not closing and (tasks or todo):
            record.timed_out = True
            ready += [("never started", index) for index in todo if as_data and schedule.sized]
            close(None if as_data else waitkit.DeadlineError(), keep=as_data)
        while consuming and loop.time() >= free_at:
            front = len(record.delivered) if "in_order" in helper else None
            if (entry := next((each for each in ready if front in (None, each[1])), None)) is None:
                break
            ready.remove(entry)
            record.delivered.append(entry)
            start()
            free_at = loop.time() + schedule.consumer.pause
            if len(record.delivered) == schedule.consumer.breaks_after:
                consuming, free_at = False, 0
                close()
        if not tasks and (closing or not todo) and loop.time() >= free_at:
            break
        alarms = [at - loop.time() for at in (free_at, deadline) if loop.time() < at < inf]
        waiting = tasks or [loop.create_task(sleep(min(alarms)))]
        await wait(waiting, timeout=min(alarms, default=None), return_when=FIRST_COMPLETED)
        for task in [task for task in order if task in tasks]:
            judge(task, tasks.pop(task))
        start()
        await sleep(0)  # they have their first step before the consumer can leave
    if helper not in STREAMS and verdict is None:
        record.delivered = sorted(ready, key=lambda entry: entry[1])
    else:
        for value in [index for how, index in ready if how == "value"]:
            record.dispose(value)
    failed = [failures[index] for index in sorted(failures) if helper == "first_success"]
    group = ExceptionGroup("all that failed", failed) if failed else None
    if verdict is not None:
        raise verdict from group
    if helper in RACES and not record.delivered:
        raise group or ValueError
