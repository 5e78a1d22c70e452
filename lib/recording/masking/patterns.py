"""Secrets out of text, before it reaches the disk.

Rules for the forms that keys, tokens, passwords, authorization headers and private keys take in
commands and prompts. A rule finds the place of a secret by what is around it: the name of an option
or a variable, a header, an address, a program. A name that says "password" is enough; a name that
says only "key" or "code" needs a value that looks made by a machine. References such as `$TOKEN`
are no secrets. No list is complete: one more reason why contents of files are never recorded.
"""

from __future__ import annotations

import re

from . import values
from .words import signs

NAME, OPTION, PASSWORD, WEAK_NAME = values.NAME, values.OPTION, values.PASSWORD, values.WEAK_NAME
CREDENTIALS, STDIN, PIPED, TOKENS = values.CREDENTIALS, values.STDIN, values.PIPED, values.TOKENS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MASK = "***"

# Words are bounded: a pattern that tries every start of a word of thousands of letters takes
# seconds, and the user would wait for them.
_V = (
    r"""(?!\*{3})(?P<v>\\+["'][^"'\n]*|"[^"\n]*"?|'[^'\n]*'?|`[^`\s]+`|"""
    r"""(?:[^\s"'&;|,<>(){}\\]|\\[^\s"'\\nrt])+)"""
)
_W = r"""(?!\*{3})(?P<v>"[^"\n]*"?|'[^'\n]*'?|(?:[^\s"'|;\\]|\\[^\s"'\\nrt])+)"""
_GAP = r"[^\n|;&]{0,200}?"

_SEPARATOR = (
    r"""(?:\\*["'`])?\]?\s*(?::=|=>|={1,3}|!==?|\uff1a|(?<!:):(?!:))[ \t]*(?:[|>][+-]?\s*\n)?\s*"""
)

_MYSQL = r"mysql\w*|mariadb\w*|mongo\w*"
_P = rf"{_MYSQL}|twine|cqlsh|beeline|hydra|poetry|rabbitmqadmin|rdesktop|plink|security"


def _flag(programs: str, flag: str, gap: str = r"\s*") -> str:
    """The value of a flag by which programs take a secret."""
    return rf"(?<![\w-])(?:{programs})\b{_GAP}\s(?-i:{flag}){gap}{_W}"


_HOLDS = r"(?P<v>[^\s'\"]+)"
_SCHEME = (
    r"(?:bearer|basic|token|digest|negotiate|apikey|key|ntlm|aws4-hmac-sha256|splunk|ssws|geniekey)"
)
_TO = r"\s*(?:\s(?:is|was|are|to be|to|es|ist|est|é|será)\s|[:\uff1a]|は|是|->)\s*"

RULES: tuple[tuple[str, Callable[[str, str], bool], str], ...] = (
    # --- keys, and what is sent to a server's door
    (
        "private key",
        values.no_reference,
        r"-{3,5} ?BEGIN (?P<v>[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?(?: ?-{3,5})?"
        r".*?(?:-{3,5} ?END [A-Z0-9 ]{0,40}-{3,5}|\Z))",
    ),
    (
        "putty-user-key-file",
        values.no_reference,
        r"PuTTY-User-Key-File-\d(?P<v>.*?(?:Private-MAC: ?\w*|\Z))",
    ),
    (
        "address",
        values.no_reference,
        r"\w://[^\s/:@'\"]{0,100}:(?!\d{1,5}(?:/|$))(?P<v>[^\s'\"]{1,1000})(?=@)",
    ),
    ("address", values.no_reference, r"\w://(?P<v>[^\s/:@'\"?#]{16,1000})(?=@)"),
    (
        "authorization",
        values.no_reference,
        rf"\bauthorization[\\'\"]{{0,2}}\s*[:=][\\\s'\"]{{0,4}}{_SCHEME}[\\\s]+(?P<v>[^'\"\n]+)",
    ),
    (
        "authorization",
        values.mixed,
        rf"\bauthorization[\\'\"]{{0,2}}\s*[:=][\\\s'\"]{{0,4}}(?!{_SCHEME}[\\\s]|\s){_HOLDS}",
    ),
    ("scheme", values.scheme, r"\b(?:bearer|basic)[\\\s]+(?P<v>[\w.~+/=-]{8,})"),
    (
        "cookie",
        values.no_reference,
        r"\b(?:set-)?cookie[\\'\"]{0,2}\s*:\s*(?P<v>[\w.-]+=[^'\"\n]+)",
    ),
    # --- addresses
    (
        "address",
        values.no_reference,
        r"hooks\.slack\.com/(?:services|workflows|triggers)/(?P<v>[^\s'\"<>]+)",
    ),
    (
        "address",
        values.no_reference,
        r"discord(?:app)?\.com/api/(?:v\d+/)?webhooks/\d+/(?P<v>[\w-]+)",
    ),
    ("address", values.no_reference, r"webhook\.office\.com/(?P<v>[^\s'\"<>]+)"),
    (
        "address",
        values.no_reference,
        r"https?://[\w.-]{0,60}hooks?\.[\w.-]{1,60}/(?P<v>[^\s'\"<>?]*\d[^\s'\"<>]*)",
    ),
    (
        "address",
        values.random,
        r"https?://[^\s'\"<>/]{1,100}/(?:[^\s'\"<>/]{1,40}/){0,4}?[\w-]{0,20}hooks?/"
        r"(?:[^\s'\"<>/]{1,60}/){0,4}?(?P<v>[^\s'\"<>/]+)",
    ),
    ("address", values.no_reference, r"ifttt\.com/[^\s'\"<>]{0,100}/key/(?P<v>[\w-]+)"),
    ("address", values.no_reference, r"api\.telegram\.org/bot(?P<v>[^\s/'\"]{10,})"),
    ("address", values.no_reference, r"api\.softlayer\.com/soap/v[\d.]+/(?P<v>[a-z0-9]{32,})"),
    (
        "query",
        values.query,
        r"[?&][\w-]{0,40}(?:key|sig|code|auth|token|signature|credential|secret|pass)="
        r"(?P<v>[^&\s'\"]+)",
    ),
    ("jdbc:oracle", values.no_reference, r"jdbc:oracle:\w+:[^\s/@:]+/(?P<v>[^\s@'\"]+)(?=@)"),
    # --- flags and places by which programs take a secret
    (
        "login",
        values.login,
        r"(?:^|(?<=\s))(?:-u\s*=?|--(?:proxy-)?user(?:\s+|=))['\"]"
        r"[\w.@%\\+-]{1,100}:(?P<v>[^'\"\n]+)['\"]",
    ),
    (
        "login",
        values.login,
        r"\b(?:run|exec|up|create)\b(?:\s+--?[\w-]+(?:[= ][^\s-]\S{0,100})?){0,20}?"
        r"\s+(?:-u|--user)[\s=]+[a-z_\d]{1,32}:[a-z_\d]{1,32}(?!\S)|"
        r"(?:^|(?<=\s))(?:-u\s*=?|--(?:proxy-)?user(?:\s+|=))['\"]?"
        rf"(?!\+)[\w.@%\\+-]{{1,100}}:{_HOLDS}",
    ),
    (
        "login",
        values.login,
        rf"\b(?:https?|xh|ab|wrk|siege|java)\s{_GAP}(?:-a|-A|--?auth)[\s=]+['\"]?"
        rf"[\w.@%\\+-]{{1,100}}:{_HOLDS}",
    ),
    ("mysql|mariadb|mongo", values.soft, _flag(_MYSQL, "-p", r"\s+")),
    ("mysql|mariadb|mongo", values.no_reference, _flag(_MYSQL, "-p", r"(?=\S)")),
    (
        "twine|cqlsh|beeline|hydra|poetry|rabbitmqadmin|rdesktop|plink|keychain",
        values.no_reference,
        _flag(_P, "-p"),
    ),
    ("sshpass", values.no_reference, _flag("sshpass", "-p")),
    (
        "login",
        values.no_reference,
        _flag(
            r"(?:docker|podman|nerdctl|helm|az|npm|oras|skopeo|buildah|crane|oc|cf|ibmcloud|argocd|"
            r"harbor|faas-cli)\b[\w\s-]{0,40}?\slogin(?![\w-])",
            "-p",
        ),
    ),
    ("7z|rar ", values.no_reference, _flag(r"7z\w*|rar|unrar", "-h?p", "")),
    (
        "zip|unzip|sqlcmd|bcp|tsql|ipmitool|mosquitto",
        values.no_reference,
        _flag("unzip|zip|funzip|sqlcmd|bcp|tsql|ipmitool|mosquitto_\\w+|smbpasswd", "-P"),
    ),
    ("ssh-keygen", values.no_reference, _flag("ssh-keygen", "-[NP]")),
    ("openssl", values.no_reference, _flag("openssl", "-[kK]", r"\s+")),
    ("openssl", values.no_reference, rf"\bopenssl\b[^\n|;&]{{0,300}}?[\s'\"]pass:{_W}"),
    ("ldap|-password", values.no_reference, _flag(r"ldap\w+|security", "-w")),
    ("redis-cli|hatch", values.no_reference, _flag("redis-cli|hatch", "-a", r"\s+")),
    ("snmp", values.no_reference, _flag(r"snmp\w+", "-[AXc]", r"\s+")),
    (
        "doctl|codecov|vercel|fly",
        values.no_reference,
        _flag("doctl|codecov|vercel|fly(?:ctl)?", "-t", r"\s+"),
    ),
    ("curl", values.cookie, _flag("curl", "(?:-b|--cookie)", r"(?:\s*|=)")),
    ("curl", values.no_reference, rf"\bcurl\b{_GAP}\s(?-i:-E|--cert)\s+['\"]?[\w./~-]+:{_HOLDS}"),
    ("smbclient", values.no_reference, rf"\bsmbclient\b{_GAP}\s-U\s*['\"]?[\w\\.@-]+%{_HOLDS}"),
    ("lftp", values.no_reference, rf"\blftp\b{_GAP}\s-u\s*['\"]?[\w.@-]+,{_HOLDS}"),
    ("xfreerdp", values.no_reference, rf"\bxfreerdp\b{_GAP}\s/p:{_W}"),
    ("net use", values.no_reference, rf"\bnet use\s+(?:\w:\s+)?\\\\\S+\s+(?!/){_W}(?=\s+/user)"),
    (
        "sqlplus|expdp|impdp|sqlldr|rman ",
        values.no_reference,
        rf"\b(?:sqlplus|expdp|impdp|sqlldr|rman)\b{_GAP}\s['\"]?[\w$]+/(?P<v>[^\s@/'\".]+)"
        r"(?=@|['\"]?(?:\s|$))",
    ),
    (
        "rabbitmqctl",
        values.no_reference,
        rf"\brabbitmqctl\b{_GAP}\s(?:add_user|change_password|authenticate_user)\s+\S+\s+{_W}",
    ),
    (
        "htpasswd -",
        values.no_reference,
        rf"\bhtpasswd\s+(?-i:-\w*n\w*b\w*|-\w*b\w*n\w*)(?:\s+-C\s+\d+|\s+-\S+)*\s+[^\s-]\S*\s+{_W}",
    ),
    (
        "htpasswd -",
        values.no_reference,
        rf"\bhtpasswd\s+(?-i:-[a-mo-zB\d]*b[a-mo-zB\d]*)(?:\s+-C\s+\d+|\s+-\S+)*\s+[^\s-]\S*\s+\S+\s+{_W}",
    ),
    (
        "vault",
        values.no_reference,
        rf"\bvault\s+(?:login|(?:operator\s+)?unseal|unwrap)(?:\s+-\S+)*\s+(?!-|\w+=){_W}",
    ),
    (
        "vault",
        values.no_reference,
        rf"\bvault\s+(?:kv\s+)?(?:put|patch|write)\b[^\n|;&]{{0,200}}?\s[\w-]+=(?!@){_W}",
    ),
    (
        "encrypt_string",
        values.no_reference,
        rf"\bencrypt_string(?:\s+--\S+(?:\s+\S+@\S+)?)*\s+(?!-){_W}",
    ),
    (
        "cargo login|nuget setapikey|snyk|ngrok|authtoken |bw login|bw unlock|wpa_passphrase|"
        "rclone obscure|net user |reset-admin-password|travis encrypt|http-basic.|mysqladmin|dscl",
        values.no_reference,
        r"\b(?:cargo\s+login|nuget\s+setapikey|snyk\s+auth|(?:add-)?authtoken|bw\s+unlock|"
        r"bw\s+login\s+\S+|wpa_passphrase\s+\S+|rclone\s+obscure|net\s+user\s+\w+|"
        rf"reset-admin-password|travis\s+encrypt|http-basic\.\S+\s+\S+|mysqladmin\b{_GAP}\s"
        rf"password|dscl\s+\.\s+-passwd\s+\S+)(?:\s+--?[\w-]+)*\s+(?![-/|<>&;=:]){_W}",
    ),
    (
        "redis|redis-cli",
        values.no_reference,
        rf"(?:\bredis-cli\b{_GAP}\s|^)auth\s+(?:\S+\s+)??{_W}(?=\s*(?:$|[\n;|&'\"]))",
    ),
    ("requirepass|masterauth", values.no_reference, rf"\b(?:requirepass|masterauth)\s+{_W}"),
    ("setuser", values.no_reference, rf"\bsetuser\s+\S+\s[^\n]{{0,60}}?[\s'\"]>{_W}"),
    (
        "secret",
        values.no_reference,
        rf"\bsecret\s+set\b{_GAP}\s(?:--body|-b|--value|--secret-string)[\s=]+{_W}",
    ),
    (
        "secret|keyvault|secretsmanager|ssm",
        values.no_reference,
        rf"\b(?:secrets?-?manager|keyvault\s+secret|ssm)\b{_GAP}\s--(?:secret-string|value)[\s=]+{_W}",
    ),
    ("secret", values.no_reference, rf"\bsecrets?[\s:]set\b[^\n|;&]{{0,100}}?\s\w+={_W}"),
    (
        "from-literal",
        values.no_reference,
        rf"\bcreate\s+secret\b[^\n|;&]{{0,200}}?\s--from-literal[=\s]['\"]?[\w.-]+={_W}",
    ),
    (
        "config:set|env:set",
        values.mixed,
        rf"\b(?:config|env):set\b[^\n|;&]{{0,100}}?\s\w+[=\s]{_W}",
    ),
    (
        "pulumi",
        values.no_reference,
        rf"\bpulumi\s+config\s+set\b[^\n|;&]{{0,60}}\s--secret\s+\S+\s+{_W}",
    ),
    (
        "chpasswd",
        values.no_reference,
        r"(?:^|(?<=[\s'\"]))[\w.@-]{1,60}:(?P<v>[^\s'\"]{1,200})(?=['\"]?\s*\|\s*(?:sudo\s+)?chpasswd)",
    ),
    (
        PIPED,
        values.no_reference,
        rf"\b(?:echo|printf)\s+(?:-\w+\s+)*(?:['\"]%s(?:\\n)?['\"]\s+)?{_W}(?=\s*\|\s*{STDIN})",
    ),
    (
        PIPED,
        values.no_reference,
        rf"(?:{STDIN})[^\n|;&<]{{0,200}}<<<\s*{_W}",
    ),
    ("assword", values.no_reference, rf"assword[^\n]{{0,60}}\bsend\s+(?:--\s+)?\\?{_V}"),
    (
        "pgpass",
        values.no_reference,
        r"(?:^|(?<=[\s'\"]))[\w.*-]{1,100}:(?:\d{2,5}|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:"
        r"(?P<v>[^\s'\"]+)(?=['\"]?\s*>+\s*\S*pgpass)",
    ),
    (
        ":5432:|:5433:|:6432:|:*:",
        values.no_reference,
        r"(?:^|(?<=[\s'\"]))[\w.*-]{1,100}:(?:5432|5433|6432|\*):[\w.*-]{1,60}:[\w.*-]{1,60}:"
        r"(?P<v>[^\s'\"]+)",
    ),
    (
        "login ",
        values.no_reference,
        r"(?:\b|\\n)login\s+\S+?(?:\s|\\n)+password\s+(?P<v>(?:[^\s'\"\\]|\\[^n])+)",
    ),
    ("read -", values.no_reference, rf"\bread\s+-[\w ]{{1,20}}?<<<\s*{_W}"),
    ("secret", values.no_reference, rf"\buser-secrets\s+set\s+(?:\"[^\"\n]+\"|\S+)\s+{_W}"),
    (
        "create_user|create_superuser",
        values.no_reference,
        r"\bcreate_(?:super)?user\(\s*(?:username=)?['\"][^'\"\n]*['\"],\s*(?:email=)?"
        rf"(?:['\"][^'\"\n]*['\"]|None),\s*{_V}",
    ),
    (
        "identified ",
        values.no_reference,
        rf"\bidentified\s+(?:with\s+\S+\s+)?(?:by|as)\s+(?:password\s+)?{_V}",
    ),
    # --- options
    (
        "name",
        values.no_reference,
        r"(?<![\w-])--?(?!no-|ask|without|prompt|require|reset)[\w.-]{0,40}?"
        rf"{OPTION}(?:\s+|=\s*|[\"']\s*,\s*(?=[\"']))(?!-){_V}",
    ),
    (
        "name",
        values.mixed,
        rf"(?<![\w-])--?[\w.-]{{0,40}}?(?:secret|auth|pass|cred(?:ential)?s?)(?:\s+|=)(?!-|id=|type=){_V}",
    ),
    ("name", values.random, rf"(?<![\w-])--?[\w.-]{{0,40}}?{WEAK_NAME}(?:\s+|=)(?!-){_V}"),
    # --- names
    (
        "name",
        values.no_reference,
        r"\b(?:setenv|setx|set\s+-\w+|config(?:ure)?\s+set|env\s+add)\s+[^\s=]{0,80}?"
        rf"{NAME}\s+{_V}",
    ),
    ("name", values.no_reference, rf"{NAME}[\"']?[\s,]{{0,20}}[\"']?value[\"']?\s*[:=]\s*{_V}"),
    ("name", values.no_reference, rf"<[\w:.-]{{0,40}}?{NAME}>(?P<v>[^<\n]+)(?=</)"),
    ("name", values.said, rf"{NAME}{_SEPARATOR}(?!/\w*=?/){_V}"),
    (
        "name",
        values.mixed,
        rf"(?<![a-z])(?:pass|pw|cred(?:ential)?s?|auth)(?![\w-]){_SEPARATOR}{_V}",
    ),
    ("name", values.random, rf"(?:{WEAK_NAME}|\blogin){_SEPARATOR}{_V}"),
    (
        "name",
        values.random,
        r"(?:key|pwd|pw|password|pass|token|secret)[\"'`]?\]? *(?:=>|:=|::?|=| ) *[\"'`]?"
        r"(?P<v>[A-Za-z0-9_+/=-]{20,})",
    ),
    (
        "cl",
        values.no_reference,
        r"\b(?:cloudant|clou|cl)[_-]?(?:api)?(?:key|pwd|pw|password|pass|token)[\"'`]?\]? *"
        r"(?:=>|:=|::?|=| ) *[\"'`]?(?P<v>[a-z0-9]{24,})",
    ),
    (
        "aws",
        values.each,
        r"aws.{0,20}?(?:key|pwd|pw|pass|token).{0,20}?['\"](?P<v>[0-9a-z/+]{40})(?=['\"])",
    ),
    (
        "name",
        values.no_reference,
        rf"(?:{PASSWORD}|secret|crypt|token|pwd|api_?key)(?:\.assign)?"
        r"\(\s*(?P<v>\\?'[^'\n]*'|\\?\"[^\"\n]*\")",
    ),
    # --- prose, and SQL that reads like it
    ("name", values.no_reference, rf"\b(?:{PASSWORD}|pwd)\s+(?P<v>'[^'\n]+'|\"[^\"\n]+\")"),
    (
        "name",
        values.said,
        rf"\b{PASSWORD}(?:\s+(?:for|of|on|de|para|für|von|pour)\s+\S{{1,60}}(?:\s\S{{1,30}})?)?"
        rf"{_TO}{_V}",
    ),
    (
        "name",
        values.odd,
        r"\b(?:api[ _-]key|secret|token|pwd|pass|pw|clave|key|login|credentials?)"
        r"(?:\s+(?:for|of|on|to)\s+\S{1,60}(?:\s\S{1,30})?)?"
        rf"\s+(?:is|was|are|es|ist|to)\s+{_V}",
    ),
    ("name", values.mixed, rf"\b(?:{PASSWORD}|pwd|pass|api[ _-]key|secret)\s+{_V}"),
    (
        "name|to log in",
        values.mixed,
        rf"\b(?:{CREDENTIALS})\b(?:\s(?:are|is|as|with|for|ist|sind|es|son)){{0,3}}[\s:=]+"
        rf"[\w.@+-]{{1,60}}(?:\s*/\s*|\s*\|\s*|:(?!\d)){_V}",
    ),
    (
        "to log in|to login|to sign in",
        values.mixed,
        r"(?<![\w/.])[\w@+-]{1,60}/(?P<v>[^\s/'\"]+)\s+to (?:log|sign) ?in\b",
    ),
    (
        "name",
        values.mixed,
        r"(?<!\S)(?P<v>[^\s=]{5,100})\s+(?:as|is|for)\s+(?:(?:the|my|your|our|a|its)\s+)?(?:\w+\s+)?"
        rf"(?:{PASSWORD}|api[ _-]key|secret|token)\b",
    ),
    # --- words without a name
    (
        "token",
        values.entropy,
        r"(?<![\w/+=.,:-])(?!sha\d+-|AAAA[A-Z]|iVBOR)(?P<v>[A-Za-z0-9][\w+/=-]{39,})(?![\w+/=-])",
    ),
)

_TIMES = 6
"""How many secrets of one command a rule finds that begins at the program's name."""

_BROAD = re.compile(values.BROAD_NAME, re.IGNORECASE)
_compiled: dict[str, re.Pattern[str]] = {}


def names_secret(name: str) -> bool:
    """Whether what stands under a name is a secret by its name."""
    return bool(_BROAD.search(name))


def _apply(pattern: re.Pattern[str], hides: Callable[[str, str], bool], text: str) -> str:
    def replaced(match: re.Match[str]) -> str:
        start, end = match.span("v")
        if start < 0 or not hides(match["v"], text[end : end + 2]):
            return match[0]
        return text[match.start() : start] + MASK + text[end : match.end()]

    for _ in range(_TIMES):
        found = pattern.sub(replaced, text)
        if found == text:
            break
        text = found
    return text


def _pattern(source: str) -> re.Pattern[str]:
    if source not in _compiled:
        _compiled[source] = re.compile(source, re.IGNORECASE | re.DOTALL)
    return _compiled[source]


def mask_private_keys(text: str) -> str:
    """`text` with private keys masked, and nothing else; its time grows with its length only."""
    _, hides, source = RULES[0]
    return _apply(_pattern(source), hides, text)


def mask_tokens(text: str) -> str:
    """`text` with tokens of a known form masked, and nothing else: for paths."""
    return _apply(TOKENS, values.token, text)


def mask(text: str) -> str:
    """`text` with everything masked that may be a secret."""
    found = set(signs(text))
    for needs, hides, source in RULES:
        if not found.isdisjoint(needs.split("|")):
            text = _apply(_pattern(source), hides, text)
    return mask_tokens(text) if "token" in found else text
