"""Which values are secrets, by what they look like. A rule says which of these it asks.

Each takes a value and the two letters behind it.
"""

from __future__ import annotations

import re

from .words import TOKENS as PREFIXES
from .words import kinds, looks_random, may_be_token

BROAD_NAME = (
    r"(?:api[ _-]?key|(?:access|secret|private|account|signing|encryption|master|service|ssh|auth|"
    r"shared|session)[_-]?key|secret|token|pass(?:word|wd|phrase|code)|pwd|credentials?|cookie|"
    r"[_-]key|authorization|[_-]auth(?![a-z])|[_-]pass(?![a-z])|[_-]pw(?![a-z])|\bsig(?![a-z]))"
)
PASSWORD = (
    r"(?:pass(?:word|wd|phrase|code|wort)|contrase(?:ñ|n)a|senha|kennwort|wachtwoord|mot de passe|"
    r"парол[ья]|密码|パスワード)"
)
_STRONG = (
    rf"(?:{PASSWORD}|pwd|(?:[_-]|store|key|db|user|root|admin|ssh)pass|(?:[_-]|cl|clou|cloudant)pw|"
    r"(?:api|access|secret|private|account|signing|encrypt(?:ion)?|master|service|auth|shared|"
    r"subscription|license|app|admin|client|root|functions?|storage|consumer|hmac|jwt|crypto)"
    r"[ _-]?key|_auth|(?<![a-z])otp|token[_-]code|"
    r"(?<!next)(?<!next[_-])(?<!page)(?<!page[_-])(?<!starting-)(?<!continuation)(?<!pad[_-])"
    r"(?<![ebcs]os[_-])(?<!unk[_-])(?<!mask[_-])(?<!sep[_-])(?<!cls[_-])(?:token|_authtoken))"
)
_WEAK = r"(?:[_-]?key|token|auth|signature|\bsig|cookie|session(?:[_-]?id)?|code|sid|passes|tokens)"
_SUFFIX = (
    r"(?:[_-]?(?:base(?:64)?|b64|value|plain|raw|prod(?:uction)?|dev|staging|stage|test|live|old|new|"
    r"default|\d{1,3}))?(?![\w-]|\.\w)"
)
NAME = rf"(?:{_STRONG}|secret){_SUFFIX}"
OPTION = rf"(?:{_STRONG}|(?<=\w[_-])secret|(?<=[a-z])Secret){_SUFFIX}"
WEAK_NAME = (
    rf"(?:{_STRONG}|secret|{_WEAK})(?:s(?![a-z])|[_-][\w-]{{0,40}}|[A-Z]\w{{0,40}})?(?![\w-])"
)

_FORMS = "|".join(
    [
        *(f"{re.escape(prefix)}[{letters}]{{{least},}}" for prefix, letters, least in PREFIXES),
        r"sk-(?:proj|ant|svcacct|admin|or|lf)-[\w-]{12,}|sk-[\w-]{0,60}[A-Za-z0-9]{16,}[\w-]*",
        r"xox[a-z](?:\.xox[a-z])?-(?:\d+-)+[\w-]+|xox[a-z](?:\.xox[a-z])?-[\w-]{8,}|xapp-[\w-]{8,}",
        r"eyJ[\w=-]+\.[\w=-]+(?:\.[\w.+/=-]*)?|eyJ[\w+/=-]{60,}",
        r"SG\.[\w-]{16,}\.[\w-]{16,}",
        r"[MNO][\w-]{23,27}\.[\w-]{6}\.[\w-]{27,}",  # Discord
        r"\d{8,10}:[\w-]{35,}",  # Telegram
        r"[0-9a-z]{32}-us\d{1,2}",  # Mailchimp
        r"(?:pat|key)[A-Za-z0-9]{14}\.[0-9a-f]{64}",  # Airtable
        r"\d{1,2}/\d{10,20}:[0-9a-f]{32}",  # Asana
    ]
)
TOKENS = re.compile(rf"(?<![A-Za-z0-9])(?P<v>{_FORMS})")

CREDENTIALS = r"credentials?|creds|log(?:ged)?[ -]?in|login|sign(?:ed)? in"
STDIN = (
    r"(?:sudo\s+)?(?:chpasswd|passwd\s[^|\n]{0,60}--stdin|sudo\s+(?:-\w+\s+)*-S|kinit|"
    r"cryptsetup|vncpasswd|smbpasswd|[^|;\n]{0,200}--(?:password-stdin|with-token|passphrase-fd)|su\b|gpg\b|"
    r"[^|;\n]{0,80}\bsecrets?\s+(?:set|put|create|versions\s+add))"
)
PIPED = (
    "kinit|cryptsetup|vncpasswd|chpasswd|smbpasswd|gpg|sudo -s|passwd --|password-|with-token|"
    "passphrase-fd|secret|pass"
)

_NOTHING = re.compile(
    r"""[\\"'`]*(?:\$(?:[A-Z_][A-Z0-9_]*|[a-z_]+|[{(].*|env[:.]\w+)?|%\w+%|\{\{.*|<.*|\[?redacted.*"""
    r"""|ENC\[.*|!\w+|\*+|x{3,}|\.{2,}|…|-+|[?+](?:[a-z ]{0,40}|.?)|~/.*|\./.*|%[sdrv]|(?:op|file|vault)://.*"""
    r"""|(?:file|env|fd):\S+|--\S+|\S*id_(?:rsa|dsa|ecdsa|ed25519)\S*|"""
    r"""[\w./~-]+\.(?:pem|key|crt|cer|pub|p12|json|ya?ml|toml|ini|cfg|env|txt|md|gpg|asc|enc|py|[jt]sx?)|"""
    r"""arn:aws.*|(?:your|my)[_-][\w-]*|[:=,.]|"""
    r"""(?:null|none|nil|undefined|true|false|yes|no|str|string|bytes|int|integer|bool|boolean|any|"""
    r"""object|number|float|optional|list|dict|text|varchar|char|var|secretstr)\b.{0,1})?"""
    r"""[\\"'`,.;:)\]}!?]*""",
    re.IGNORECASE | re.DOTALL,
)
_CODE = re.compile(
    r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*\[[\w., ]*\]?|"
    r"(?:[a-z_]+_)?(?:password|passwd|token|secret|key|pwd)|"
    r"[A-Za-z]*(?:Password|Token|Secret|Key|Pwd)|"
    r"(?:self|this|req|request|res|response|config|cfg|settings|"
    r"os|process|env|args|ctx|data|params|props|user|form|body|options|opts|state|event|secrets|vars|"
    r"values|input|session|client|app|import\.meta)(?:\.[A-Za-z_]\w*)+|(?:new|await|lambda|async)\b.*"
)
_PLAIN = r"(?:[a-z]{1,18}|[A-Z]{1,18}|[A-Z][a-z]{1,18}|\d{1,4})"
_WORDS_ONLY = re.compile(rf"[\W_]*{_PLAIN}(?:[\W_]+{_PLAIN})*[\W_]*")
_COMMON = frozenset(
    """a about after again all already also always an and any are as at available be because been
before being blank but button by can cannot changed check checked checks correct could das de
default der did die different do does done either el empty encrypted enforced entered es ever
expired fails falsch field file fine flow for form from generated given gone good had handling
has have here how if in incorrect input inside into invalid is ist it its just kept known la
leaked length like long longer lost maybe missing must my needed never nicht no none not now
null oder of off ok okay old on once only optional or our out outdated over page plain policy
private prompt required reset right rotated rotation safe same saved screen set shared short
should shown so some something still stored strong than that the their them then there these
they this to too two und under unknown unset until up used valid validated validation via was
weak were what when where whether which while who why will with without work works would wrong
you your""".split()
)


def _is_reference(value: str, behind: str) -> bool:
    """Whether a value stands for another, or for nothing: $TOKEN, <token>, None, next_token()."""
    bare = value.strip("\\\"'`")
    opens = value[:1] in ("'", '"') and not value[1:2].strip()
    if opens or _NOTHING.fullmatch(value) or (value[:1] == "`" and value[-1:] != "`"):
        return True
    if bare[:1] == "/":
        return not looks_random(bare) and "+" not in bare and "=" not in bare
    if value[:1] in "\"'\\":
        return bool(re.fullmatch(r"(?:\$\{[^}]*\}|\$\([^)]*\)|\$\w+|\{\w*\}|[:/@ ])*", bare))
    return bool(_CODE.fullmatch(value)) or (
        behind[:1] == "(" and bare.replace(".", "").isidentifier()
    )


def _is_plain(value: str) -> bool:
    """Whether a value is a word, a number, a path or an address, as a name may well have."""
    bare = value.strip("\\\"'`.,;:!?)]}([{*")
    low = bare.lower()
    return low in _COMMON or not bare or (low.isalpha() and low.endswith(("ed", "ing", "ly")))


def each(value: str, _behind: str) -> bool:
    return bool(value)


def no_reference(value: str, behind: str) -> bool:
    return not _is_reference(value, behind)


def said(value: str, behind: str) -> bool:
    """What is masked behind a name and a colon, or "is"."""
    return no_reference(value, behind) and not _is_plain(value)


def mixed(value: str, behind: str) -> bool:
    """What is masked where prose may stand: what is in quotes, or has digits or inner capitals."""
    bare = value.strip("\\\"'`.,;:!?)]}([{*")
    if not said(value, behind) or len(bare) < 5 or bare.replace(".", "").isdigit():
        return False
    has_digit = any(map(str.isdigit, bare)) and not bare.isdigit()
    return has_digit or (bare[1:] != bare[1:].lower() and bare != bare.upper())


def odd(value: str, behind: str) -> bool:
    """What is masked in prose behind a word that may well be followed by a name: no blue-500."""
    return mixed(value, behind) and not _WORDS_ONLY.fullmatch(value)


def random(value: str, behind: str) -> bool:
    """What is masked behind a name that others than secrets have: what no person makes up."""
    bare = value.strip("\\\"'`")
    return no_reference(value, behind) and "address" not in bare and looks_random(bare)


def query(value: str, behind: str) -> bool:
    return no_reference(value, behind) and (random(value, behind) or mixed(value, behind))


def scheme(value: str, behind: str) -> bool:
    return no_reference(value, behind) and (mixed(value, behind) or value.endswith("="))


def login(value: str, behind: str) -> bool:
    """What is masked behind `-u user:`: no number, and no time of `date -u +%H:%M`."""
    return (
        no_reference(value, behind)
        and not value.isdigit()
        and value[:2] != "//"
        and "%" not in value[:1]
    )


def soft(value: str, behind: str) -> bool:
    """What is masked behind a flag that takes its secret without a space: no plain word."""
    bare = value.strip("'\"")
    return (
        no_reference(value, behind)
        and not (bare.isalpha() and bare.islower())
        and not bare.isdigit()
    )


def cookie(value: str, behind: str) -> bool:
    return "=" in value and no_reference(value.partition("=")[2], behind)


def entropy(value: str, _behind: str) -> bool:
    """What is masked without a name: a long word of small letters, capitals and digits, mixed."""
    if not may_be_token(value):
        return False
    changes, small, capital, digit = kinds(value)
    return min(small, capital, digit) >= 2 and changes * 5 >= len(value) * 2


def token(value: str, _behind: str) -> bool:
    """Whether a word that begins like a token is none of plain words: npm_config_registry."""
    return not _WORDS_ONLY.fullmatch(value)
