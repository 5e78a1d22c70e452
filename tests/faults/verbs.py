"""One verb of the API as a process: exit 0 when it says that it did it, 1 with a line if not."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))

from lib import state
from lib.maintenance import retention, trust

KEEP = {"step": 1, "text": "x" * 300}


def restore(name):
    if not state.restore_checkpoint(name):
        raise SystemExit(1)


def save(key, value):
    if not state.save_state(key, value):
        raise SystemExit(1)


VERBS = {
    "save": save,
    "checkpoint": state.checkpoint,
    "restore": restore,
    "undo": lambda: state.State().undo(),
    "delete": lambda key: state.State().delete_state(key),
    "phase": lambda phase: state.State().set_phase(phase),
    "publish": lambda: state.State().checkpoint_session("Stop"),
    "trust": lambda: trust.adopt(state.State()),
    "prune": lambda: retention.tidy(state.State()),
}

if __name__ == "__main__":
    try:
        VERBS[sys.argv[1]](*sys.argv[2:])
    # What the API says it raises; anything else is a traceback, which the tests take for a fault.
    except (state.StateError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(1) from None
