"""Ends the loop: the last coroutine that runs on it."""

import asyncio


async def stop(loop, limit, unfinished, background, lifespans, shut_down):
    """Ends what runs, lets the lifespans end, and stops the loop, all of it in seven eighths of `limit` seconds.

    The tasks of requests are `unfinished`, which are cancelled and have a quarter for it, or work on in the `background`
    of a response that is complete: these have half of the time, and are cancelled then. Only after them the lifespans
    end, which have what is left of three quarters, and last the application's other tasks.
    """
    own = asyncio.current_task()
    begun = loop.time()
    await cancel(unfinished, limit / 4)
    if background:
        _, late = await asyncio.wait(background, timeout=max(0.0, begun + limit / 2 - loop.time()))
        await cancel(late, limit / 8)
    shut_down()
    if lifespans:
        await asyncio.wait(lifespans, timeout=max(0.0, begun + limit * 3 / 4 - loop.time()))
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
