"""Ends the loop: the last coroutine that runs on it."""

import asyncio


async def stop(loop, limit):
    """Cancels every other task, waits at most `limit` seconds for their ends, and stops the loop."""
    own = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not own]
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=limit / 4)
    try:
        await asyncio.wait_for(loop.shutdown_asyncgens(), limit / 8)
    except asyncio.TimeoutError:
        pass
    loop.stop()
