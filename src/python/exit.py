"""What CPython does at its end, as far as it can be done without finalizing: nothing is torn down."""

import atexit
import sys
import threading
import time
import traceback


def thread_exit_functions():
    """What is to run before threads are waited for (3.9 and later), but for the pools' own."""
    functions = reversed(getattr(threading, "_threading_atexits", []))
    return [each for each in functions if not getattr(getattr(each, "func", each), "__module__", "").startswith("concurrent.futures.")]


def run_in_time(functions, deadline):
    """Calls each in turn, and waits for them no longer than until the deadline."""

    def call():
        for function in functions:
            try:
                function()
            except Exception:
                traceback.print_exc()

    if functions:
        thread = threading.Thread(target=call, daemon=True)
        thread.start()
        thread.join(max(0.0, deadline - time.monotonic()))


def run(limit):
    """Waits for threads at most `limit` seconds, then runs `atexit` functions and flushes the streams.

    Says whether threads are left: they may be in C code that the process's destructors take apart.
    """
    deadline = time.monotonic() + limit
    pools = sys.modules.get("concurrent.futures.thread")
    if pools is not None:
        # What the pools' own exit functions do, without their endless joins.
        pools._shutdown = True
        for _, work_queue in list(pools._threads_queues.items()):
            work_queue.put(None)
    pools = sys.modules.get("concurrent.futures.process")
    if pools is not None:
        pools._global_shutdown = True
        for wakeup in list(pools._threads_wakeups.values()):
            wakeup.wakeup()
    run_in_time(thread_exit_functions(), deadline)
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join(max(0.0, deadline - time.monotonic()))
    try:
        atexit._run_exitfuncs()
    except BaseException:
        # Before 3.10 it raises the last exception again; it has printed each.
        pass
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            pass
    return threading.active_count() > 1
