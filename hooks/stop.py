"""Stop, StopFailure, PreCompact, SessionEnd: checkpoint the session; its end is only marked.

stdin   the event, one JSON object
stdout  nothing
exit    0, or 1 with one line on stderr; never 2, which would keep Claude from stopping
"""

import sys
from posix import readlink

here = __file__
while True:
    try:
        target = readlink(here)
    except OSError:
        break
    here = target if target[0] == "/" else here[: here.rfind("/") + 1] + target
sys.path.insert(0, here[: here.rfind("/") + 1] + "..")

from lib.journal import run


def handle(event):  # type: ignore[no-untyped-def]
    """Imported late, so that whatever goes wrong is told in one line."""
    from lib.stopping import stop

    return stop(event)


run("Stop", handle, seconds=10)
