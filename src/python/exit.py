"""What CPython does at its end, as far as it can be done without finalizing: nothing is torn down."""

import atexit
import sys
import threading
import time


def run(limit):
    """Waits for threads at most `limit` seconds, then runs `atexit` functions and flushes the streams.

    Says whether threads are left: they may be in C code that the process's destructors take apart.
    """
    deadline = time.monotonic() + limit
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        # What the pools' own exit function does, without its endless join.
        pools._shutdown = True
        for _, work_queue in list(pools._threads_queues.items()):
            work_queue.put(None)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    return threading.active_count() > 1
