"""Stop, StopFailure, PreCompact, SessionEnd: checkpoint the session; its end is only marked.

stdin   the event, one JSON object
stdout  nothing
exit    0, or 1 with one line on stderr; never 2, which would keep Claude from stopping
"""

import sys
from _frozen_importlib_external import SourceFileLoader
from posix import readlink

here = __file__
while True:
    try:
        target = readlink(here)
    except OSError:
        break
    here = target if target[0] == "/" else here[: here.rfind("/") + 1] + target
journal = sys.modules["lib.recording.journal"] = type(sys)("lib.recording.journal")
journal.__file__ = here[: here.rfind("/")] + "/../lib/recording/journal.py"
SourceFileLoader("lib.recording.journal", journal.__file__).exec_module(journal)


def handle(event):  # type: ignore[no-untyped-def]
    """Imported late, so that whatever goes wrong is told in one line."""
    from lib.events.stop import stop

    return stop(event)


journal.run("Stop", handle, seconds=10)
