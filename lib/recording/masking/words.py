"""Whether a text may hold a secret: asked first, because the patterns need `re`.

`re` takes nearly as long to load as the interpreter, and every third command has a word in it that
could name a secret: `--keyboard`, `pass`, `design`, an address. What is said here errs on one side
only. Whatever the patterns would mask has its sign here; tests hold the two together.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

ALNUM, WORD, DOTTED = "A-Za-z0-9", "-A-Za-z0-9_", "-A-Za-z0-9_."

TOKENS = (
    *((f"{kind}_{mode}_", WORD, 8) for kind in ("sk", "rk") for mode in ("live", "test", "prod")),
    *((f"gh{kind}_", WORD, 16) for kind in "pousr"),
    *((f"gl{kind}-", DOTTED, 16) for kind in "pat dt ft soat rt cbt imt ptt".split()),
    *((kind, WORD, 16) for kind in ("github_pat_", "GR1348941", "hvs.")),
    *((kind, "A-Z0-9", 12) for kind in "AKIA ASIA AROA AIDA AGPA ANPA ABIA ACCA A3T".split()),
    ("AKC", ALNUM, 10),
    *((f"AP{kind}", ALNUM, 8) for kind in "0123456789ABCDEF"),
    # of those below, a beginning and what follows have 32 letters or more
    *((kind, ALNUM, 28) for kind in "npm_ gsk_ xai- pplx- ntn_ nfp_ shpat_ shpss_ shpca_".split()),
    *((kind, ALNUM, 29) for kind in "r8_ oy2 cio shppa_ shpua_ dop_v1_ doo_v1_ dor_v1_".split()),
    *((kind, ALNUM + "_+/=", 27) for kind in ("whsec_", "sntrys_", "sntryu_")),
    *((kind, WORD, 28) for kind in "hvb. hvr. glagent- gloas- ATBB tskey- fo1_ fm2_ rnd_".split()),
    *((kind, WORD, 27) for kind in "ya29. pypi- figd_ NRAK- NRJS- NRRA- NRII- PMAK-".split()),
    *((kind, WORD, 28) for kind in "AIza 1//0 EAAA EAAC glsa_ glc_ phx_ sbp_ e2b_ tfp_".split()),
    *((kind, WORD, 24) for kind in "GOCSPX- lin_api_ lin_oauth_ api_org_ CLOJARS_".split()),
    *((kind, WORD, 23) for kind in "dckr_pat_ dckr_oat_ rubygems_ sb_secret_".split()),
    *((kind, WORD, 27) for kind in "lsv2_ pcsk_ tvly- nvapi- jina_".split()),
    *((kind, WORD, 24) for kind in "pat-na1- pat-eu1- AGE-SECRET-KEY-1".split()),
    *((kind, DOTTED, 24) for kind in "pscale_tkn_ pscale_pw_ pscale_oauth_".split()),
    *((kind, DOTTED, 29) for kind in "hf_ dp. re_ fw_".split()),
    ("sq0", DOTTED + r"\\", 29),
    *((kind, WORD + "=", 26) for kind in "ATATT3 ATCTT3 SWMTKN-1-".split()),
    *((kind, "a-f0-9", 32) for kind in ("dapi", "key-")),
    *((kind, "a-z0-9", 32) for kind in ("AC", "SK", "sk_")),
)
"""How tokens of a known form begin, the letters of what follows, and how many follow at least."""

LOOSE = (("sk-", 16), ("xox", 5), ("xapp-", 8), ("eyJ", 3), ("SG.", 33))
"""The beginnings whose rest has a pattern of its own, and how many letters follow at least."""

LONG = 32
"""Letters of a word that may be a secret without any name or beginning."""

_KEYS = tuple(
    """api access secret private account signing encryption encrypt master service ssh auth shared
session subscription license app admin client deploy root function functions storage webhook
consumer hmac jwt crypto cl clou cloudant sl softlayer iam ibm cloud cos""".split()
)
"""What makes a `key` a secret, besides a `_` or `-` before it."""

_NAMES = (
    "mot de passe",
    *"key secret token passw passphrase passcode passes pwd credential creds credentials".split(),
    *"cookie auth pass pw sig signature otp session sid code login cred".split(),
    *"contrase senha clave kennwort wachtwoord парол 密码 パスワード".split(),
)

_SHORT = ("auth", "pass", "pw", "sig", "sid", "cred", "code", "session", "otp", "login")
"""Of these a longer word is no name."""

_BEFORE_TWO = ("cookie", "key", "token", "pass", "passw", "pwd", "pw", "secret")
"""Of these `name::value` may be one, too; others are names in two parts."""

_WITH_USER = ("login", "creds", "credential", "credentials")
"""What is said before a user and a password: login: ada / hunter2."""

_AROUND = 100
"""Letters of a word that are read before and behind a secret's name. The patterns allow 40: to read
all of a long word at each name in it would take seconds."""

_SAYS = frozenset("is was are to be es ist est é será".split())
"""Words of prose between the name of a secret and the secret."""

COMMANDS = (
    *((name, " -p") for name in "mysql mariadb mongo sshpass twine cqlsh beeline hydra".split()),
    *((name, " -p") for name in "7z unzip zip sqlcmd bcp tsql ipmitool mosquitto poetry".split()),
    *((name, " -p") for name in ("login", "rabbitmqadmin", "rdesktop", "plink", "keychain")),
    *(("rar ", flag) for flag in (" -p", " -hp")),
    *(("openssl", flag) for flag in (" -k", "pass:")),
    *(("ssh-keygen", flag) for flag in (" -n", " -p")),
    *((name, " -t") for name in ("doctl", "codecov", "vercel", "fly")),
    *((name, " -w") for name in ("ldap", "-password")),
    *((name, " -a") for name in ("redis-cli", "snmp", "hatch")),
    *(("snmp", flag) for flag in (" -x", " -c")),
    *(("curl", flag) for flag in (" -b", " --cookie", " -e")),
    *(("rabbitmqctl", act) for act in ("add_user", "change_password", "authenticate_user")),
    *(("vault", act) for act in ("login", "unseal", "unwrap", "put", "write", "patch", "encrypt_")),
    *((name, "/") for name in ("sqlplus", "expdp", "impdp", "rman ", "jdbc:oracle")),
    *((name, " auth") for name in ("snyk", "redis", "ngrok")),
    *((name, "set") for name in ("secret", "config:set", "env:set")),
    *((name, "|") for name in ("kinit", "cryptsetup", "vncpasswd", "chpasswd", "smbpasswd", "gpg")),
    *(
        (name, "|")
        for name in ("sudo -s", "passwd --", "password-", "with-token", "passphrase-fd", "secret")
    ),
    *(
        (name, "<<<")
        for name in ("sudo -s", "pass", "kinit", "with-token", "secret", "read -", "gpg")
    ),
    *((name, "--") for name in ("ssm", "keyvault", "secretsmanager", "pulumi")),
    *((name, "") for name in ("htpasswd -", "cargo login", "nuget setapikey", "authtoken ")),
    *((name, "") for name in ("bw login", "bw unlock", "wpa_passphrase", "rclone obscure")),
    *(
        (name, "")
        for name in ("net user ", "reset-admin-password", "travis encrypt", "http-basic.")
    ),
    *((name, "") for name in ("identified ", "requirepass", "masterauth", "pgpass", "setuser")),
    *(
        (name, "")
        for name in (":5432:", ":5433:", ":6432:", ":*:", "create_user", "create_superuser")
    ),
    *((name, "") for name in ("putty-user-key-file", "encrypt_string", "sqlldr")),
    *((name, "/") for name in ("to log in", "to login", "to sign in")),
    ("redis-cli", "auth"),
    ("private key", "begin "),
    *(("authorization", sign) for sign in ":="),
    ("cookie", ":"),
    *((name, "pass") for name in ("login ", "aws", "cl")),
    *((name, second) for name in ("aws", "cl") for second in ("key", "token", "pw")),
    ("from-literal", "secret"),
    ("smbclient", "%"),
    ("lftp", ","),
    ("xfreerdp", "/p:"),
    ("net use", "/user"),
    ("assword", "send"),
    ("mysqladmin", "password"),
    ("dscl", "passwd"),
)
"""Pairs of words, both of which are in a command that takes a secret without naming it."""

_SETS = ("setenv", "setx", "set -", "config", "env add", "login ")
_QUERIES = tuple(f"{name}=" for name in "key sig code auth token ature secret tial pass".split())
_HOOKS = ("hook", "api.telegram.org/bot", "api.softlayer.com", "ifttt.com")


def may_hold_secret(text: str) -> bool:
    """Whether `patterns.mask` may change the text."""
    return any(True for _ in signs(text))


def signs(text: str) -> Iterator[str]:
    """What in a text may be about a secret. Each rule of `patterns` needs one of these."""
    lowered = text.lower()
    for first, second in COMMANDS:
        if first in lowered and second in lowered:
            yield first
    if may_hold_token(text):
        yield "token"
    if _has_address_with_secret(lowered):
        yield "address"
    if ("?" in text or "&" in text) and any(query in lowered for query in _QUERIES):
        yield "query"
    if _has_scheme(lowered):
        yield "scheme"
    if _has_login(lowered):
        yield "login"
    if _has_named_value(text, lowered):
        yield "name"


def may_hold_token(text: str) -> bool:
    """Whether `patterns.mask_tokens` may change the text."""
    for prefix, _, least in TOKENS:
        if prefix in text and _has_token(text, prefix, least):
            return True
    if any(prefix in text and _has_token(text, prefix, least) for prefix, least in LOOSE):
        return True
    return any(may_be_token(word) for word in text.replace("/", " ").split() if len(word) >= LONG)


def _has_token(text: str, prefix: str, least: int) -> bool:
    for place in _places(text, prefix):
        before = text[place - 1 : place]
        if before.isascii() and before.isalnum():
            continue
        behind = text[place + len(prefix) : place + len(prefix) + least]
        if len(behind) == least and all(map(_is_of_token, behind)):
            return True
    return False


def _is_of_token(letter: str) -> bool:
    return letter.isalnum() or letter in "_-.=+/\\"


def may_be_token(word: str) -> bool:
    """Whether a long word may be a secret: it has digits, and it is no digest."""
    return any(map(word.__contains__, "0123456789")) and not set(word.strip("\"'`,;")) <= set(
        "0123456789abcdefsh:"
    )


def kinds(text: str) -> tuple[int, int, int, int]:
    """How often a text changes between small letters, capitals and digits; and how many of each."""
    changes = small = capital = digit = 0
    last = ""
    for letter in text:
        if letter.islower():
            kind, small = "a", small + 1
        elif letter.isupper():
            kind, capital = "A", capital + 1
        else:
            kind, digit = "0", digit + 1
        changes += bool(last) and kind != last
        last = kind
    return changes, small, capital, digit


def looks_random(text: str) -> bool:
    """Whether a text looks made by a machine: a part mixes letters and digits as no word does."""
    for part in "".join([each if each.isalnum() else " " for each in text]).split():
        if len(part) < 8:
            continue
        changes, small, capital, digit = kinds(part)
        if digit and small + capital and changes >= (3 if len(part) < 16 else 4):
            return True
        if not digit and small and capital and changes >= 4 and changes * 2 >= len(part):
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
    """scheme://user:password@host, the parameters of an address, and the addresses of hooks."""
    for place in _places(text, "://"):
        word = _first_word(text[place + 3 : place + 2000])
        if "@" in word or any(hook in word for hook in _HOOKS):
            return True
    return False


def _has_scheme(text: str) -> bool:
    """What is sent to a server's door: Bearer, Basic."""
    for scheme in ("bearer", "basic"):
        for place in _places(text, scheme):
            behind = text[place + len(scheme) : place + len(scheme) + 1]
            if behind.isspace() or behind == "\\":
                return True
    return False


def _flags(text: str, flag: str) -> Iterator[str]:
    """What stands behind a flag, wherever it stands."""
    for place in _places(text, flag):
        if place == 0 or text[place - 1].isspace():
            yield text[place + len(flag) : place + 400]


def _has_login(text: str) -> bool:
    """-u user:password."""
    for flag in ("-u", "--user", "--proxy-user", "-a", "--auth", "-auth"):
        for behind in _flags(text, flag):
            if ":" in _first_word(behind.lstrip().lstrip("=").lstrip()):
                return True
    return False


def _names(text: str) -> Iterator[tuple[str, int, int]]:
    """Words that name a secret, and where each begins and ends."""
    for name in _NAMES:
        for place in _places(text, name):
            end = place + len(name)
            before = text[max(0, place - 20) : place]
            if name in _SHORT and "a" <= text[end : end + 1] <= "z":
                continue
            if name == "key" and before[-1:].isalnum() and not before.endswith(_KEYS):
                continue
            yield name, place, end


def _has_named_value(text: str, lowered: str) -> bool:
    words = text.split()
    capitals = any(word[1:] != word[1:].lower() and word != word.upper() for word in words)
    is_set = any(word in lowered for word in _SETS)
    return any(_has_value(lowered, capitals, is_set, *place) for place in _names(lowered))


def _has_value(text: str, capitals: bool, is_set: bool, name: str, start: int, end: int) -> bool:
    """Whether a secret's name is followed by what may be its value, or follows it."""
    behind = text[_skip_word(text, end) : end + 400]
    rest = behind.lstrip("\\\"'`").lstrip("]").lstrip()
    if rest[:1] in ("=", ":", "(", ">", "!", "\uff1a") or rest[:2] == "->":
        if rest.startswith("::"):
            return name in _BEFORE_TWO and len(rest) > 20
        return True
    if not name.isascii() or behind.startswith(".assign"):
        return True
    if behind[:1].isspace() or (behind and behind[0] in "\\\"'`,]"):
        start = _word_start(text, start)
        if text[start : start + 1] == "-":
            return True  # --password hunter2
        words = " ".join(rest.split(None, 3)[:3])
        if name in _WITH_USER:
            return not _is_of_word(text[end : end + 1] or " ") and any(
                map(words.__contains__, "/:|")
            )
        if name in _SHORT and name not in ("pass", "pw"):
            return False
        says = not _SAYS.isdisjoint(rest.split(None, 9)[:9])
        if says or "value" in rest[:40] or is_set:
            return True
        if capitals or any(map(words.__contains__, "0123456789\"'`")):
            return True  # password hunter2
    before = text[max(0, start - 200) : start].split()[-4:]
    return (
        name not in _SHORT and not {"as", "is", "for"}.isdisjoint(before) and "about" not in before
    )
