"""The shortest thing that works: read the list, append, write it back. For comparison only."""

import json
import sys
from datetime import datetime, timezone
from pathlib import Path

STATE_DIR = Path(".claude/state")


def load(key, default):
    file = STATE_DIR / f"{key}.json"
    if not file.exists():
        return default
    with open(file) as stream:
        return json.load(stream)["value"]


def save(key, value):
    STATE_DIR.mkdir(parents=True, exist_ok=True)
    saved = {"value": value, "timestamp": datetime.now(timezone.utc).isoformat()}
    with open(STATE_DIR / f"{key}.json", "w") as stream:
        json.dump(saved, stream, indent=2)


event = json.load(sys.stdin)
records = load("records", [])
records.append(
    {
        "event": event["hook_event_name"],
        "tool": event["tool_name"],
        "call": event["tool_use_id"],
        "path": event["tool_input"].get("file_path"),
    }
)
save("records", records)
