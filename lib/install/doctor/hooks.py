"""Checks of the hooks: switched on, registered once, and with scripts that exist."""

from __future__ import annotations

import os
from shlex import quote

from ...errors import StoreError
from ...recording import journal
from .. import settings_files
from ..bundle_copy import BUNDLE, JOURNALS, is_bundle
from ..hook_commands import SCRIPTS
from .command_line import script_of
from .finding import MEND, NOTE, OK, Finding, Subject

PLUGIN_FILES = (
    ".claude-plugin/plugin.json",
    "hooks/hooks.json",
    *sorted({f"hooks/{script}" for script, _ in SCRIPTS.values()}),
)


def check_switch(subject: Subject) -> Finding:
    """Are the hooks switched off?"""
    where = "the environment" if journal.environment("WORKFLOW_STATE") == "off" else ""
    for path in settings_files.places(subject.project).values():
        try:
            given = settings_files.values(path).get("env")
        except StoreError:
            continue  # check_settings reports it
        if isinstance(given, dict) and given.get("WORKFLOW_STATE") == "off":
            where = path
    if where:
        said = f"WORKFLOW_STATE is off in {where}: the hooks do nothing"
        return Finding("switch", MEND, said, "remove it there")
    return Finding("switch", OK, "the hooks are not switched off")


def check_settings(subject: Subject) -> Finding:
    """Can Claude Code read its settings files, and do they let hooks run?"""
    if subject.registered.broken:
        said = "; ".join(subject.registered.broken)
        return Finding("settings", MEND, said, "fix the file: Claude Code ignores all of it")
    if subject.registered.off:
        said = f'{subject.registered.off} sets "disableAllHooks": no hook runs'
        if subject.registered.off in settings_files.managed():
            return Finding("settings", MEND, said, "ask your administrator to remove this setting")
        return Finding("settings", MEND, said, "remove this setting")
    if subject.registered.only:
        said = f'{subject.registered.only} sets "allowManagedHooksOnly": your hooks do not run'
        mend = "ask your administrator to enable the plugin, or to register the hooks, in that file"
        return Finding("settings", MEND, said, mend)
    return Finding("settings", OK, "Claude Code can read all settings files, and runs hooks")


def check_registration(subject: Subject) -> Finding:
    """Are the hooks registered: all of them, once?"""
    ways = subject.registered.ways
    if not ways:
        said = f"the hooks are not registered for {subject.project}"
        return Finding("hooks", MEND, said, "workflow-state install")
    for path, events in subject.registered.files.items():
        missing = [event for event in SCRIPTS if event not in events]
        twice = [event for event, lines in events.items() if len(lines) > 1]
        if missing:
            said = f"{path} does not register {', '.join(missing)}"
            return Finding("hooks", MEND, said, subject.install(path))
        if twice:
            said = f"{path} registers {', '.join(twice)} more than once"
            return Finding("hooks", MEND, said, subject.install(path))
    if len(ways) > 1:
        said = f"registered {len(ways)} times: {', '.join(ways)}; events count once, but cost twice"
        if subject.registered.plugin:
            mend = f"claude plugin disable {subject.registered.plugin}"
        else:
            first = next(iter(subject.registered.files))
            mend = f"workflow-state uninstall{settings_files.options(first, subject.project)}"
        return Finding("hooks", MEND, said, mend)
    return Finding("hooks", OK, f"registered once, by {ways[0]}")


def check_scripts(subject: Subject) -> Finding:
    """Do the registered scripts exist, a plugin's too?"""
    said = _missing_of(subject.registered.plugin)
    if said:
        market = subject.registered.plugin.partition("@")[2]
        mend = (
            f"claude plugin marketplace remove {market}; claude plugin marketplace add "
            f"{quote(BUNDLE)}; claude plugin install workflow-state@workflow-state"
        )
        return Finding("scripts", MEND, said, mend)
    for path, events in subject.registered.files.items():
        for line in [line for lines in events.values() for line in lines]:
            script = script_of(line, subject.project)
            if script and not os.path.isfile(script):
                said = f"{path} registers {script}, which is missing"
                return Finding("scripts", MEND, said, subject.install(path))
    if not subject.registered.ways:
        return Finding("scripts", NOTE, "no script is registered")
    return Finding("scripts", OK, "all registered scripts exist")


def _missing_of(plugin: str) -> str:
    """What is missing of a plugin; "" if it is complete, or there is none."""
    if not plugin:
        return ""
    folder = settings_files.plugin_folder(plugin)
    if not folder:
        return f"the plugin {plugin} is enabled, but installed nowhere"
    missing = [each for each in PLUGIN_FILES if not os.path.isfile(f"{folder}/{each}")]
    missing += [] if is_bundle(folder) else JOURNALS[:1]
    return f"the plugin {plugin} is in {folder}, where {missing[0]} is missing" if missing else ""
