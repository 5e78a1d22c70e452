"""SessionStart: link the session to what it continues, and tell Claude where the work stood.

stdin   the event, one JSON object
stdout  one JSON object with hookSpecificOutput.additionalContext, or nothing
exit    0, or 1 with one line on stderr; never 2
"""

import sys


def handle(event):  # type: ignore[no-untyped-def]
    """Imported late, so that whatever goes wrong is told in one line."""
    from lib.events.session_start import start

    return start(event)


try:
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
    journal.run("SessionStart", handle, seconds=10)
except Exception as error:  # noqa: BLE001  # this file parses anywhere, so that it can say:
    getattr(sys.stdin, "buffer", sys.stdin).read()
    line = ["workflow-state: SessionStart: needs Python 3.9 or later (CPython); this is"]
    line += [sys.version, "at", str(sys.executable), "and fails with:", str(error)]
    sys.stderr.write(" ".join(" ".join(line).split())[:400] + "\n")
    sys.exit(1)
