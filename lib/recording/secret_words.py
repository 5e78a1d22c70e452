"""Whether a text may hold a secret: asked first, because the patterns need `re`.

`re` takes nearly as long to load as the interpreter, and every third command has a word in it that
could name a secret: `--keyboard`, `pass`, `design`, an address. What is said here errs on one side
only. Whatever the patterns would mask has its sign here; tests hold the two together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_TOKENS = (
    *(("sk-", 20), ("sk_live_", 8), ("sk_test_", 8), ("rk_live_", 8), ("rk_test_", 8)),
    *((f"gh{kind}_", 16) for kind in "pousr"),
    *(("github_pat_", 16), ("glpat-", 16), ("xox", 10)),
    *((kind, 12) for kind in ("AKIA", "ASIA", "AROA", "AIDA")),
    *(("AIza", 30), ("ya29.", 16), ("eyJ", 13), ("SG.", 33), ("shp", 19)),
    *((kind, 16) for kind in ("npm_", "pypi-", "hf_", "dop_v1_", "lin_api_")),
)
"""How tokens of a known shape begin, and how many letters follow at least."""

_KEYS = """api access secret private account signing encryption master service ssh auth shared
session""".split()
"""What makes a `key` a secret, besides a `_` or `-` before it."""

_NAMES = """key secret token password passwd passphrase passcode pwd credential cookie
authorization auth pass pw sig""".split()

_PROSE = frozenset("key secret token password passwd passphrase passcode".split())
"""Of these one says: the password is ..."""

_AROUND = 100
"""Letters of a word that are read before and behind a secret's name. The patterns allow 40: to read
all of a long word at each name in it would take seconds."""

_LOGINS = ("mysql", "mariadb", "mongo", "sshpass", "login")
_QUERIES = ("key=", "sig=", "code=", "auth=", "token=", "signature=")


def may_hold_secret(text: str) -> bool:
    """Whether `masking.mask` may change the text."""
    lowered = text.lower()
    return (
        may_hold_token(text)
        or _has_address_with_secret(lowered)
        or _has_scheme_with_secret(lowered)
        or _has_login(lowered)
        or any(_has_value(lowered, *place) for place in _names(lowered))
    )


def may_hold_token(text: str) -> bool:
    """Whether `masking.mask_tokens` may change the text."""
    for prefix, least in _TOKENS:
        for place in _places(text, prefix):
            before = text[place - 1 : place]
            if before.isascii() and before.isalnum():
                continue
            behind = text[place + len(prefix) :][:least]
            if len(behind) == least and all(map(_is_of_word, behind)):
                return True
    return False


def _places(text: str, part: str) -> Iterator[int]:
    place = text.find(part)
    while place >= 0:
        yield place
        place = text.find(part, place + 1)


def _is_of_word(letter: str) -> bool:
    return letter.isalnum() or letter in "_-."


def _skip_word(text: str, place: int) -> int:
    last = min(len(text), place + _AROUND)
    while place < last and _is_of_word(text[place]):
        place += 1
    return place


def _word_start(text: str, end: int) -> int:
    first = max(0, end - _AROUND)
    while end > first and _is_of_word(text[end - 1]):
        end -= 1
    return end


def _first_word(text: str) -> str:
    words = text.split(None, 1)
    return words[0] if words else ""


def _has_address_with_secret(text: str) -> bool:
    """scheme://user:password@host, and the parameters of an address."""
    if any("@" in _first_word(text[place + 3 :]) for place in _places(text, "://")):
        return True
    return ("?" in text or "&" in text) and any(query in text for query in _QUERIES)


def _has_scheme_with_secret(text: str) -> bool:
    """Private keys, and what is sent to a server's door: Bearer, Basic."""
    if "-----begin " in text and "private key" in text:
        return True
    for scheme in ("bearer", "basic"):
        for place in _places(text, scheme):
            behind = text[place + len(scheme) :]
            if behind[:1].isspace() or behind[:1] == "\\":
                return True
    return False


def _flags(text: str, flag: str) -> Iterator[str]:
    """What stands behind a flag, wherever it stands."""
    for place in _places(text, flag):
        if place == 0 or text[place - 1].isspace():
            yield text[place + len(flag) :]


def _has_login(text: str) -> bool:
    """-u user:password, and the passwords that some programs take without a name."""
    for flag in ("-u", "--user", "--proxy-user"):
        for behind in _flags(text, flag):
            if ":" in _first_word(behind.lstrip().lstrip("=").lstrip()):
                return True
    if any(name in text for name in _LOGINS) and any(_flags(text, "-p")):
        return True
    return "redis-cli" in text and any(_flags(text, "-a"))


def _names(text: str) -> Iterator[tuple[str, int]]:
    """Words that name a secret, and where each ends."""
    for name in _NAMES:
        for place in _places(text, name):
            before, end = text[:place], place + len(name)
            behind = text[end : end + 1]
            joined = before[-1:] in ("_", "-") and place > 0
            cut_off = not ("a" <= behind <= "z")
            if name == "key":
                named = joined or before.rstrip(" _-").endswith(tuple(_KEYS))
            elif name in ("auth", "pass", "pw"):
                named = joined and cut_off
            elif name == "sig":
                named = cut_off and not (before[-1:].isalnum() or before[-1:] == "_")
            else:
                named = True
            if named:
                yield name, end


def _has_value(text: str, name: str, end: int) -> bool:
    """Whether a secret's name is followed by what may be its value."""
    word_end = _skip_word(text, end)
    behind = text[word_end:]
    sign = behind.lstrip("\\\"'").lstrip("]").lstrip()[:2]
    if sign[:1] in ("=", ":") and (sign != "::" or name in ("authorization", "cookie")):
        return True  # but for a::b, which is a name in two parts
    start = _word_start(text, end)
    if text.endswith("api ", 0, start):  # "api key" is one name
        start = _word_start(text, start - 1)
    if behind[:1].isspace():
        if text[start] == "-" or text.endswith(("secret_key", "access_key"), 0, end):
            return True  # --password hunter2
        words = behind.split(None, 3)[:3]
        if name in _PROSE and ("is" in words or "was" in words):
            return True
    return False
