"""Ends the loop: the last coroutine that runs on it."""

import asyncio


async def stop(loop, limit, lifespans, shut_down):
    """Cancels what runs, lets the lifespans end, waits for each a part of `limit` seconds, and stops the loop."""
    own = asyncio.current_task()
    await cancel([task for task in asyncio.all_tasks() if task is not own and task not in lifespans], limit / 4)
    shut_down()
    if lifespans:
        await asyncio.wait(lifespans, timeout=limit / 4)
    await cancel([task for task in asyncio.all_tasks() if task is not own], limit / 8)
    try:
        await asyncio.wait_for(loop.shutdown_asyncgens(), limit / 8)
    except asyncio.TimeoutError:
        pass
    loop.stop()


async def cancel(tasks, limit):
    """Cancels tasks and waits for their ends."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=limit)
