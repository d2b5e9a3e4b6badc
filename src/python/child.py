"""The end of a process that an application has forked, and whose own code has come to its end."""

import os
import sys
import traceback


def leave(raised):
    """Ends the process as `raised` says, with nothing of the parent's torn down."""
    status = 0
    try:
        if isinstance(raised, SystemExit) and (raised.code is None or isinstance(raised.code, int)):
            status = (raised.code or 0) & 0xFF
        elif raised is not None:
            status = 1
            if isinstance(raised, SystemExit):
                print(raised.code, file=sys.stderr)
            else:
                traceback.print_exception(type(raised), raised, raised.__traceback__)
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(status)
