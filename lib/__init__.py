"""workflow-state: the record of a Claude Code session's phase and files. The API is `state.py`."""
