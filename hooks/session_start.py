"""SessionStart: link the session to what it continues, and tell Claude where the work stood.

stdin   the event, one JSON object
stdout  one JSON object with hookSpecificOutput.additionalContext, or nothing
exit    0, or 1 with one line on stderr; never 2
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
    from lib.starting import start

    return start(event)


run("SessionStart", handle, seconds=10)
