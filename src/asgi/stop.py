"""Ends the loop: the last coroutine that runs on it."""

import asyncio


async def stop(loop, limit, lifespans, shut_down):
    """Cancels what runs, lets the lifespans end, and stops the loop, all of it in seven eighths of `limit` seconds.

    Tasks that are cancelled have a quarter; the lifespans what is left of three quarters.
    """
    own = asyncio.current_task()
    begun = loop.time()
    await cancel([task for task in asyncio.all_tasks() if task is not own and task not in lifespans], limit / 4)
    shut_down()
    if lifespans:
        await asyncio.wait(lifespans, timeout=begun + limit * 3 / 4 - loop.time())
    await cancel([task for task in asyncio.all_tasks() if task is not own], limit / 16)
    try:
        await asyncio.wait_for(loop.shutdown_asyncgens(), limit / 16)
    except asyncio.TimeoutError:
        pass
    loop.stop()


async def cancel(tasks, limit):
    """Cancels tasks and waits for their ends."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=limit)
