"""PreToolUse: record that a tool call begins.

stdin   the event, one JSON object
stdout  nothing
exit    0, or 1 with one line on stderr; never 2, which would block the tool
"""

import sys
from posix import readlink

here = __file__  # `os.path` would cost a tenth of the whole run
while True:
    try:
        target = readlink(here)
    except OSError:
        break
    here = target if target[0] == "/" else here[: here.rfind("/") + 1] + target
sys.path.insert(0, here[: here.rfind("/") + 1] + "..")

from lib.journal import run

run("PreToolUse")
