"""The hot path, whole: an event on stdin -> one record -> one append to its session's journal.

A tool hook imports this file and nothing else of ours, and the user waits for it twice per tool
call. So it is written a little unusually:

- `posix` instead of `os`, which alone costs an eighth of the interpreter's start. Where somebody
  has imported `os` already it costs nothing more, and is used.
- `_json`'s scanner instead of `json`, which costs as much as the whole start because it brings
  `re`. The scanner is the one inside `json.loads`; `parse` feeds it the same settings.
- a hook loads this file by itself, and this file loads the C extensions that it needs straight
  from where the standard library keeps them, the last place of `sys.path`: to have them looked
  for costs more than to load them.
- nothing is read but the event and a 32-byte key, nothing is locked, and nothing grows with the
  journal: the record is one `write` on a descriptor in append mode.
- the process leaves with `_exit`, which skips tearing the interpreter down.

What is written lies in the user's own place, outside every project. docs/format.md describes it.
"""

import sys

TYPE_CHECKING = False
try:
    if sys.hexversion < 0x30900F0:
        raise ImportError("this Python is older than 3.9")
    from _signal import (  # type: ignore[import-not-found]
        ITIMER_REAL,
        SIGALRM,
        setitimer,
        signal,
    )
    from time import gmtime, time

    if TYPE_CHECKING or "os" in sys.modules:
        import os
    else:
        import posix as os
        from _imp import create_dynamic, exec_dynamic, extension_suffixes

        for name in ("_blake2", "_json"):
            where = f"{sys.path[-1]}/{name}{extension_suffixes()[0]}"
            try:
                module = create_dynamic(type(sys.__spec__)(name, None, origin=where))
                exec_dynamic(module)
                sys.modules[name] = module
            except ImportError:
                pass  # built in, say: the import below finds it
    from _blake2 import blake2b
    from _json import encode_basestring_ascii, make_scanner
except ImportError:
    if __spec__ is None:  # loaded by a hook, which has nobody else to say it
        with open(__file__[: __file__.rfind("/recording/")] + "/install/other_python.py") as script:
            exec(script.read())  # noqa: S102
    raise

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

PACKAGES = (
    ".recording",
    ".disk",
    ".format",
    ".project",
    ".session",
    ".events",
    ".telling",
    ".install",
    ".maintenance",
)
if __spec__ is None:  # loaded by a hook, by itself: this is the package of what it loads
    __package__ = "lib.recording"
    folder = __file__[: __file__.rfind("/recording/")]
    # Of these packages nothing but the modules is needed. To look for each one's own file takes a
    # start and a stop longer than this takes a tool call.
    for name in ("", *PACKAGES):
        package = sys.modules["lib" + name] = type(sys)("lib" + name)
        package.__path__ = [folder + name.replace(".", "/")]

VERSION = 1
VIEW = "/.claude/state"
"""Where the project's view lies in it. The first version kept the state there."""

MANUAL = "manual"
"""The session of events that name none, such as those piped into a script by hand."""

ENOENT = 2

STDIN_LIMIT = 64 << 20
"""Bytes of an event that are parsed; the client's largest seen were 5 MB."""

LARGE = 1 << 17
"""Bytes of an event that is not read as it is, but without its long strings."""

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unusable(Exception):
    """The event or the place cannot be used; the text says what, where, and what to do."""


# --- the event ---------------------------------------------------------------------------------


class Event:
    """One event, its few shared fields checked once: past this point they are what they seem.

    name     the client's `hook_event_name`, or the script's own event when it is missing
    session  the file stem of its journal
    cwd      absolute, or "" when the event does not say
    """

    __slots__ = ("cwd", "fields", "name", "session")

    def __init__(self, fields: "dict[str, Any]", default: str) -> None:
        self.fields = fields
        name = fields.get("hook_event_name")
        self.name = name if type(name) is str and name.isalnum() and len(name) <= 64 else default
        identifier = fields.get("session_id")
        self.session = session_stem(identifier) if type(identifier) is str else MANUAL
        cwd = fields.get("cwd")
        self.cwd = cwd if type(cwd) is str and cwd[:1] == "/" and "\0" not in cwd else ""


def _integer(digits: str) -> "int | None":
    return int(digits) if len(digits) < 20 else None  # int() of a million digits takes minutes


_SETTINGS = type(sys.implementation)(  # type: ignore[call-arg]  # types.SimpleNamespace
    strict=True,
    object_hook=None,
    object_pairs_hook=None,
    parse_float=float,
    parse_int=_integer,
    parse_constant={"NaN": None}.get,  # None for the infinities too: they are not JSON
)
"""What `json.loads` gives its scanner, but for numbers that no event needs."""


_SPACE = " \t\n\r"


def parse(text: str) -> "dict[str, Any]":
    """The JSON object in `text`, as `json.loads` gives it but for numbers that no event needs.

    Raises Unusable for anything else.
    """
    start = 1 if text[:1] == "\ufeff" else 0
    while text[start : start + 1] and text[start] in _SPACE:
        start += 1
    if start == len(text):
        raise Unusable("stdin held no event; pipe one JSON object into this script")
    try:
        value, end = make_scanner(_SETTINGS)(text, start)  # type: ignore[arg-type]
    except RecursionError:
        raise Unusable("the event nests too deeply to be read") from None
    except Unusable:
        raise  # the hook's time is up, whatever it was reading
    except Exception:  # noqa: BLE001
        # SystemError is among them: before 3.12 the scanner raises it where json.loads, which has
        # imported json.decoder, raises JSONDecodeError.
        raise Unusable("stdin is not JSON; it must be one JSON object") from None
    if text[end:].strip(_SPACE):
        raise Unusable("stdin holds more than one JSON object")
    if type(value) is not dict:
        raise Unusable("stdin is JSON but not an object")
    return value


def read_stdin() -> bytearray:
    """All of stdin: a writer whose reader stops early gets EPIPE. Raises Unusable past a limit."""
    data = bytearray()  # one buffer that grows in place: a copy of 5 MB takes a third of the start
    size = 0
    while True:
        # Standard input is a socket under the client: descriptor 0 can be read, /dev/stdin not.
        chunk = os.read(0, 1 << 16)
        if not chunk:
            break
        size += len(chunk)
        if size <= STDIN_LIMIT:
            data += chunk
    if size > STDIN_LIMIT:
        raise Unusable(f"the event has {size >> 20} MB; at most {STDIN_LIMIT >> 20} are read")
    return data


def fields_of(data: bytearray) -> "dict[str, Any]":
    """The event in what stdin held. Raises Unusable."""
    if len(data) < LARGE:
        return parse(data.decode("utf-8", "replace"))
    from .large_events import scan

    return scan(data, parse, Unusable)


# --- the place ---------------------------------------------------------------------------------

_LOWER = "abcdefghijklmnopqrstuvwxyz0123456789._-"
_NAME = _LOWER + "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def is_name(name: str) -> bool:
    """Whether `name` keeps to the rule for keys, checkpoints and session ids."""
    return 0 < len(name) <= 128 and name[0] not in ".-" and not name.strip(_NAME)


def stem(name: str) -> str:
    """The file name, less its suffix, for any text: itself where every file system can hold it.

    Names with capitals get a digest, because two that differ only in case would share a file on
    macOS; anything else is reduced to what is harmless, plus a digest of the whole. `~` is in no
    name, so a stem never equals another name.
    """
    if is_name(name) and not name.strip(_LOWER):
        return name
    digest = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    if is_name(name):
        return f"{name}~{digest}"
    return (
        "".join([letter for letter in name[:64].lower() if letter in _LOWER])[:24].lstrip(".-")
        + f"~{digest}"
    )


def session_stem(identifier: str) -> str:
    """The stem of a session's journal; short enough for `session-<stem>` to be a checkpoint."""
    if not identifier:
        return MANUAL
    return stem(identifier if len(identifier) <= 100 else "~" + identifier)


def environment(name: str) -> str:
    """An environment variable, "" when unset. (`posix.environ` has bytes for keys.)"""
    values: Any = getattr(os, "environb", None) or os.environ
    value: bytes = values.get(name.encode(), b"")
    return value.decode(FILE_SYSTEM, "surrogateescape")


FILE_SYSTEM = sys.getfilesystemencoding()
"""How Python turns the text of a path into bytes: not UTF-8 under an older locale."""


def native(text: str) -> str:
    """A path out of an event, which is UTF-8, as this process must name it to open it."""
    if FILE_SYSTEM == "utf-8":
        return text
    return text.encode("utf-8", "surrogateescape").decode(FILE_SYSTEM, "surrogateescape")


def as_text(path: str) -> str:
    """The reverse of `native`: a path of this process as an event, or a record, names it."""
    if FILE_SYSTEM == "utf-8":
        return path
    return path.encode(FILE_SYSTEM, "surrogateescape").decode("utf-8", "surrogateescape")


def state_home() -> str:
    """The user's own place: `workflow-state` in $XDG_STATE_HOME or ~/.local/state.

    Where that is another user's (sudo keeps HOME on some systems), or HOME is unset, the home
    directory comes from the password database. "" where the user has none.
    """
    base = environment("XDG_STATE_HOME")
    if base[:1] != "/":
        home = environment("HOME")
        base = home + "/.local/state" if home[:1] == "/" else ""
    found = _HOMES.get(base)
    if found is None:
        path = base + "/workflow-state"
        try:
            status = os.stat(path) if base else None
        except OSError:
            status = None
        if status is None or status.st_uid != os.geteuid():
            from .state_home import search

            path = search(base)
        else:
            _HOMES[base] = path
        return path
    return found


_HOMES: "dict[str, str]" = {}
"""The place that was found to be the user's, by the directory that it is in."""


def project_entry(project: str) -> str:
    """The directory of a project's state at home: its name, and a digest of its path."""
    name = as_text(project[project.rfind("/") + 1 :])  # the same in every locale
    if name.strip(_NAME) or len(name) > 48 or name[:1] in ".-":
        name = "".join([letter if letter in _NAME else "_" for letter in name[:48]]).lstrip(".-")
    path = project.encode(FILE_SYSTEM, "surrogateescape")
    home = state_home()
    if not home:
        raise Unusable(NO_HOME)
    return f"{home}/projects/{name or 'project'}-{blake2b(path, digest_size=8).hexdigest()}"


NO_HOME = (
    "you have no home directory that you own and can write, so nothing is recorded; set "
    "WORKFLOW_STATE_DIR to a directory of yours, and WORKFLOW_STATE_KEY to a secret"
)


def _start(cwd: str) -> str:
    start = environment("CLAUDE_PROJECT_DIR")
    if start[:1] not in ("", "/"):
        raise Unusable(f"CLAUDE_PROJECT_DIR is {start!r}, which is not an absolute path")
    return (start or native(cwd) or os.getcwd()).rstrip("/")


def find_place(cwd: str = "") -> "tuple[str, str]":
    """The project that an event is about, and its state directory. Raises Unusable.

    The project is found from CLAUDE_PROJECT_DIR, else `cwd`, else the current directory. Nearly
    always that is a project with a state of its own; find_project.py does the rest.
    """
    start = _start(cwd)
    chosen = environment("WORKFLOW_STATE_DIR")
    if start and (chosen[:1] == "/" or not chosen):
        entry = chosen or project_entry(start)
        try:
            status = os.stat(start + "/.git" if chosen else entry)
            if chosen or status.st_uid == os.geteuid():
                return start, entry
        except OSError:
            pass
    from .find_project import search

    project = search(start)
    return project, find_state(project)


def find_project(cwd: str = "") -> str:
    """The project that an event is about, absolute, without a slash at its end. Raises Unusable.

    "" for the root, which is none. Here no state is needed.
    """
    from .find_project import search

    return search(_start(cwd))


def find_state(project: str) -> str:
    """The path of a project's state directory: WORKFLOW_STATE_DIR, or its place at home."""
    override = environment("WORKFLOW_STATE_DIR")
    if override[:1] == "/":
        return override
    if not project:
        raise Unusable("/ is no project: work in a directory of its own, or set WORKFLOW_STATE_DIR")
    from .find_project import state_of

    return state_of(project, override)


def descend(parent: int, name: str, mode: int = 0) -> int:
    """Open the directory `name` in `parent`, never through a symlink; closes `parent`.

    With a `mode` it is made when missing. Raises OSError.
    """
    try:
        try:
            return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        except FileNotFoundError:
            if not mode:
                raise
        from ..disk.durable import make_directory

        make_directory(parent, name, mode)
        return os.open(name, DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    finally:
        os.close(parent)


def open_state(directory: str, create: bool = False) -> int:
    """A descriptor of the state directory. Raises OSError; FileNotFoundError where there is none.

    With `create` it is made whole when missing. Raises Unusable for a directory of other things.
    """
    if create:
        from .first_use import initialize

        initialize(directory)
    return os.open(directory, DIRECTORY)


def open_sessions(directory: str) -> int:
    """A descriptor of the directory of journals, made with all that belongs to it when missing."""
    if not at_home(directory):
        from .first_use import refuse_other

        refuse_other(directory)
    try:
        return os.open(directory + "/sessions", DIRECTORY | os.O_NOFOLLOW)
    except FileNotFoundError:
        return descend(open_state(directory, create=True), "sessions")


def at_home(directory: str) -> bool:
    """Whether a state directory lies in the user's own place, and not where the user chose."""
    return directory.startswith(state_home() + "/projects/")


# --- the key and the check ---------------------------------------------------------------------


def key_path() -> str:
    """Where the user's key lies: outside every repository. "" where the user has no home."""
    home = state_home()
    return home and home + "/key"


def read_key(make: bool = False) -> bytes:
    """The user's key: 32 bytes, or b"" where none can be had; with `make` it is made when missing.

    WORKFLOW_STATE_KEY stands in for the file. A key that others could read is not used. Raises
    Unusable where there may well be one, and it cannot be read now.
    """
    given = environment("WORKFLOW_STATE_KEY")
    if given:
        return blake2b(given.encode(FILE_SYSTEM, "surrogateescape"), digest_size=32).digest()
    path = key_path()
    if not path:
        return b""
    try:
        descriptor = os.open(path, READ, 0o600)
        try:
            status = os.fstat(descriptor)
            key = os.read(descriptor, 33)
        finally:
            os.close(descriptor)
    except OSError as error:
        from .first_use import PASSING, make_key

        if make and error.errno == ENOENT:
            return make_key(path)
        if error.errno in PASSING:
            raise Unusable(
                f"{path}: {error.strerror}; without it nothing can be signed or verified"
            ) from None
        return b""
    private = status.st_mode & 0o170077 == 0o100000 and status.st_uid == os.geteuid()
    if private and make and len(key) < 32:  # its maker is at work, or was killed there
        from .first_use import make_key

        return make_key(path)
    return key if private and len(key) == 32 else b""


def check(scope: str, body: "bytes | bytearray | memoryview", key: bytes) -> str:
    """The check value of `body`: 8 hex digits that tell damage, then 16 that tell whose it is.

    `scope` (a session's stem, a checkpoint's name) is digested with it, so that a record copied
    elsewhere is not taken for one written there. Without a key the second part proves nothing.
    """
    digest = _digest(scope, body)
    return f"{digest[:4].hex()}.{_keyed(digest, key)}"


def signature(scope: str, body: "bytes | bytearray | memoryview", key: bytes) -> str:
    """The second part of a check value: who has not the key cannot make it."""
    return _keyed(_digest(scope, body), key)


def _digest(scope: str, body: "bytes | bytearray | memoryview") -> bytes:
    digest = blake2b(scope.encode() + b"\n", digest_size=32)
    digest.update(body)  # not joined to the scope: a checkpoint's body may have many megabytes
    return digest.digest()


def _keyed(digest: bytes, key: bytes) -> str:
    return blake2b(digest, digest_size=8, key=key).hexdigest()


# --- the record --------------------------------------------------------------------------------


def now() -> str:
    """The time in UTC as RFC 3339 with milliseconds: 2026-11-23T14:31:05.123Z."""
    seconds = time()
    year, month, day, hour, minute, second = gmtime(seconds)[:6]
    return (
        f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}"
        f".{int(seconds * 1000) % 1000:03d}Z"
    )


def encode(value: "Any") -> str:
    """A record's value as ASCII JSON: str, bool, int, None, list and dict."""
    if type(value) is str:
        return encode_basestring_ascii(value)
    if type(value) is dict:
        members = [
            f"{encode_basestring_ascii(name)}:{encode(member)}" for name, member in value.items()
        ]
        return "{" + ",".join(members) + "}"
    if type(value) is list:
        return "[" + ",".join([encode(item) for item in value]) + "]"
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    return str(value)


def sign(session: str, facts: "dict[str, Any]", key: bytes) -> bytes:
    """One record, framed: a line of its own whatever a killed writer left before it."""
    body = encode(facts)[:-1].encode()
    return b'\n%b,"check":"%b"}\n' % (body, check(session, body, key).encode())


def _open_journal(sessions: int, file: str, directory: str) -> "tuple[int, os.stat_result]":
    """A journal opened for appending, and its status. Raises Unusable for what is not ours."""
    while True:
        descriptor = os.open(file, APPEND, 0o600, dir_fd=sessions)
        status = os.fstat(descriptor)
        links = status.st_nlink
        if (
            status.st_mode & 0o170000 == 0o100000
            and status.st_uid == os.geteuid()
            # At home a second name is the user's own: a backup made of links.
            and (links == 1 or (at_home(directory) if links else _is_there(sessions, file, status)))
        ):
            return descriptor, status
        os.close(descriptor)
        if links:  # with none it was removed since it was opened: what is written here is lost
            raise Unusable(
                f"{directory}/sessions/{file} is no plain file of one name that is yours: "
                "it was left as it is; move it away"
            )


def _is_there(sessions: int, file: str, status: "os.stat_result") -> bool:
    """Whether a journal of no link has its name all the same: some file systems count none."""
    try:
        return os.stat(file, dir_fd=sessions, follow_symlinks=False).st_ino == status.st_ino
    except FileNotFoundError:
        return False


def append(sessions: int, session: str, records: bytes, directory: str) -> None:
    """Append to a session's journal with one write. Raises OSError and Unusable."""
    descriptor, status = _open_journal(sessions, session + ".jsonl", directory)
    try:
        written = os.write(descriptor, records)
        if written != len(records):
            raise Unusable(f"only {written} of {len(records)} bytes could be written: disk full?")
        if environment("WORKFLOW_STATE_FSYNC") == "always":
            os.fsync(descriptor)
            if not status.st_size:
                from ..disk.durable import sync_directory

                sync_directory(sessions)
    finally:
        os.close(descriptor)


def write(directory: str, session: str, *records: "dict[str, Any]") -> None:
    """Append records, each a dict of facts with its event first, to a session's journal.

    Raises OSError and Unusable.
    """
    key = read_key(make=True)
    at = now()
    signed = [sign(session, {"v": VERSION, "at": at, **facts}, key) for facts in records]
    sessions = open_sessions(directory)
    try:
        append(sessions, session, b"".join(signed), directory)
    finally:
        os.close(sessions)


# --- what is kept of an event ------------------------------------------------------------------

_SHORT = (
    ("tool_name", "tool"),
    ("tool_use_id", "call"),
    ("agent_id", "agent"),
    ("agent_type", "agent_type"),
    ("permission_mode", "mode"),
    ("source", "source"),
    ("trigger", "trigger"),
    ("reason", "reason"),
)
_PATHS = ("file_path", "notebook_path", "path")
_PATH_BYTES = 1100


def clip(text: str, limit: int) -> str:
    """The longest head of `text` whose JSON takes at most about `limit` bytes."""
    while len(text) > limit // 12:
        size = len(encode_basestring_ascii(text))
        if size <= limit:
            break
        text = text[: max(1, len(text) * limit // size - 1)]
    return text


_SECRET_SIGNS = (
    "key|token|secret|pass|assword|pwd|auth|bearer|basic|cred|cookie|private|pw|read -|sig|code=|"
    "://|-u|--user|otp|login|log in|sign in|-----begin|session|sid=|sid:|"
    # programs that take a secret by a flag or a place
    "curl|vault|mysql|mariadb|mongo|redis|openssl|twine|7z|zip|rar |ldap|rabbit|identified|doctl|"
    "codecov|vercel|fly|sqlcmd|bcp |tsql|ipmi|mosquitto|snmp|cqlsh|beeline|hydra|smbclient|sqlplus|"
    "oracle|lftp|/user|rman |expdp|impdp|sqlldr|rdesktop|freerdp|plink|bw |rclone|wpa_|crypt|snyk|"
    "sudo -|sudo chp|kinit|gpg|create_user|create_super|http |https |xh |net user|config:set|"
    "env:set|:5432:|:5433:|:6432:|:*:|pulumi|poetry|hatch|setuser|ssm|"
    # prose of other languages
    "contrase|senha|clave|kennwort|wachtwoord|mot de pas|парол|密码|パスワード"
)
_TOKEN_SIGNS = (
    "sk- sk_ rk_ ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glft- glsoat- glrt- glcbt- "
    "glimt- glptt- GR1348941 hvs. AKIA ASIA AROA AIDA AGPA ANPA ABIA ACCA A3T AKC AP "
    "xox xapp- eyJ SG."
)
_LONG = 32


def masked(text: str, limit: int) -> str:
    """The head of `text`, its secrets masked, in at most about `limit` bytes of JSON.

    The patterns need `re`, which takes longer than all the rest: they are loaded only for a text
    that masking/words.py, loaded for a word that may name a secret, cannot let pass.
    """
    window = text[:8192]
    if len(text) > 8192:
        window = window[
            : max(window.rfind(" "), window.rfind("\n"), 0)
        ]  # no half secret at its end
    if has_secret_sign(window):
        from .masking.words import may_hold_secret

        if may_hold_secret(window):
            from .masking.patterns import mask

            window = mask(window)
    return clip(window, limit)


def has_secret_sign(text: str) -> bool:
    """Whether `text` has one of the words without which `masked` changes nothing."""
    lowered = text.lower()
    return any(sign in lowered for sign in _SECRET_SIGNS.split("|")) or _has_token_sign(text)


def _has_token_sign(text: str) -> bool:
    """Whether `text` has the beginning of a token, or a long word that is not of small letters."""
    if any(sign in text for sign in _TOKEN_SIGNS.split()):
        return True
    words = [word for word in text.replace("/", " ").split() if len(word) >= _LONG]
    return any(word != word.lower() or set("0123456789") & set(word) for word in words)


def masked_path(path: str) -> str:
    """`path` with tokens of a known shape masked: what else it says may well be a name."""
    if _has_token_sign(path):
        from .masking.words import may_hold_token

        if may_hold_token(path):
            from .masking.patterns import mask_tokens

            path = mask_tokens(path)
    return path


def locate(path: str, project: str, base: str) -> str:
    """`path` as it is kept: relative to the project with "/", absolute outside it.

    A path too long for a record keeps its head and a digest of the whole.
    """
    if path[:1] != "/":
        path = f"{base}/{path}"
    unnormalized = (
        "//" in path or "/./" in path or "/../" in path or path.endswith(("/", "/.", "/.."))
    )
    if unnormalized or not path.startswith(project + "/"):
        from .resolve_path import resolve

        path = resolve(path, project)
    else:
        path = path[len(project) + 1 :]
    path = masked_path(path)
    short = clip(path, _PATH_BYTES)
    if short == path:
        return path
    digest = blake2b(path.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()
    return f"{clip(path, _PATH_BYTES - 20)}~{digest}"


def _text(value: "Any") -> str:
    return value if type(value) is str else ""


def _object(value: "Any") -> "dict[str, Any]":
    return value if type(value) is dict else {}


def _call_facts(event: Event, project: str, base: str) -> "dict[str, Any]":
    """What a tool call is about, from its input. Contents are never kept."""
    facts: dict[str, Any] = {}
    given = _object(event.fields.get("tool_input"))
    for name in _PATHS:
        path = _text(given.get(name))
        if path:
            facts["path"] = locate(path, project, base)
            break
    command = _text(given.get("command"))
    if command:
        if "<<" in command or "*** Begin Patch" in command or "\n+++ " in command:
            from .heredocs import without_contents

            command = without_contents(command)
        facts["command"] = masked(command, 900)
    for name in ("description", "url"):
        text = _text(given.get(name))
        if text:
            facts[name] = masked(text, 200)
    return facts


def _result_facts(event: Event) -> "dict[str, Any]":
    """How a call ended, from its response or its error."""
    facts: dict[str, Any] = {}
    response = _object(event.fields.get("tool_response"))
    result = _text(response.get("type")) or _text(response.get("status"))
    if result:
        facts["result"] = clip(result, 64)
    for name in ("staged", "interrupted"):
        if response.get(name) is True:
            facts[name] = True
    if event.fields.get("is_interrupt") is True:
        facts["interrupted"] = True
    # The first line only: what follows it is the command's output, which may be a file's contents.
    error = _text(event.fields.get("error")) or _text(response.get("error"))
    if error:
        facts["error"] = masked(error.lstrip().split("\n", 1)[0], 300)
    if _text(response.get("backgroundTaskId")):
        facts["background"] = True
    if response.get("isAsync") is True and _text(response.get("agentId")):
        facts["launched"] = clip(response["agentId"], 128)
    return facts


def _moment_facts(event: Event) -> "dict[str, Any]":
    """What is kept of an event that is no tool call: a request, a start, a stop."""
    facts: dict[str, Any] = {}
    if event.name == "UserPromptSubmit":
        prompt = _text(event.fields.get("prompt"))
        if _text(event.fields.get("prompt_id")):
            facts["prompt"] = clip(event.fields["prompt_id"], 128)
        if prompt.startswith("<task-notification>"):
            facts["notification"] = True  # a background task ended: not a request of the user's
        else:
            from .client_process import keeps_no_transcript

            if not keeps_no_transcript(event.fields, environment):
                facts["text"] = clip(masked(prompt, 8192)[:300], 3600)
    elif event.name == "SessionStart":
        client = environment("AI_AGENT")
        if client:
            facts["client"] = clip(client, 128)
    elif event.name == "StopFailure":
        facts["error"] = masked(_text(event.fields.get("error")), 400)
    if event.name in ("UserPromptSubmit", "SessionStart"):
        from .client_process import process_facts

        facts.update(process_facts(environment("CLAUDE_PID")))
    tasks = event.fields.get("background_tasks")
    if type(tasks) is list and tasks:
        facts["background_tasks"] = len(tasks)
    return facts


def facts_of(event: Event, project: str) -> "list[dict[str, Any]]":
    """What is kept of an event, as records in the order they are written. Pure but for /proc."""
    base = event.cwd or (project if environment("CLAUDE_PROJECT_DIR") else as_text(os.getcwd()))
    facts: dict[str, Any] = {"event": event.name}
    for theirs, ours in _SHORT:
        text = _text(event.fields.get(theirs))
        if text:
            facts[ours] = clip(text, 100)
    if "tool" not in facts:
        return [{**facts, **_moment_facts(event)}]
    facts.update(_call_facts(event, project, base))
    if event.name == "PreToolUse":
        return [facts]
    facts.update(_result_facts(event))
    difference = _object(_object(event.fields.get("tool_response")).get("bashEditDiff"))
    if not difference:
        return [facts]
    from .change_lists import with_changes

    size = len(encode(facts))
    return with_changes(facts, size, difference, lambda path: locate(path, project, base))


def record(event: Event, **facts: "Any") -> None:
    """Append what is kept of an event to its session's journal, with further facts of ours."""
    project, directory = find_place(event.cwd)
    first, *rest = facts_of(event, as_text(project))
    write(directory, event.session, {**first, **facts}, *rest)


# --- the life of a hook's process --------------------------------------------------------------


def _complain(name: str, error: BaseException) -> None:
    if isinstance(error, Unusable):
        reason = str(error)
    elif isinstance(error, OSError):
        reason = f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    else:
        reason = f"{type(error).__name__}: {error}"
    line = f"workflow-state: {name}: {reason}"
    printable = "".join([letter if " " <= letter <= "~" else "?" for letter in line])
    try:
        os.write(2, printable[:400].encode() + b"\n")
    except OSError:
        pass  # nobody reads: the exit code says it too


def run(
    name: str, handle: "Callable[[Event], str | None]" = record, seconds: float = 5
) -> "NoReturn":
    """The whole life of a hook's process: read, handle, exit 0, or 1 with one line on stderr.

    `handle` returns what the user should be told though all was done. Never 2, which would block
    the tool. `seconds` bounds it: a hook whose stdin never ends, or
    whose disk hangs, gives up by itself, well before the client would kill it.
    """
    code = 0

    def give_up(_number: int, _frame: object) -> None:
        raise Unusable(f"gave up after {seconds:g} seconds")

    try:
        if FILE_SYSTEM != "utf-8" and handle is not record:
            from .utf8 import restart

            restart()
        signal(SIGALRM, give_up)
        setitimer(ITIMER_REAL, seconds)
        data = read_stdin()
        if environment("WORKFLOW_STATE") != "off":
            message = handle(Event(fields_of(data), name))
            if message:
                raise Unusable(message)
    # Nothing may get past here: a traceback is noise, and who exits with 2 blocks the tool.
    except BaseException as error:  # noqa: BLE001
        setitimer(ITIMER_REAL, 0)
        code = 1
        _complain(name, error)
    os._exit(code)
