"""Passwords that commands, queries, calls and files of logins take at a known place, without a name.

It must not know how settings or sentences name their secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from engram_agent.secret_reading import Span
from engram_agent.secret_values import is_placeholder, is_secret

# hints, the command, what stands between it and its password; without a hint in the text the command is not sought
_TABLE = r"""
mysql,maria,mycli @@ mysql(?:dump|admin|import|sh)?|mariadb(?:-dump)?|mycli @@ (?<!\S)-p(?=\S)
sshpass,login,mongo @@ sshpass|(?:docker|podman|helm|oc|az|nerdctl)\s[\w\s.]{0,20}login
    |mongo(?:sh|dump|restore|export|import)? @@ (?<!\S)-p[ =]{0,2}
7z @@ 7za? @@ (?<!\S)-p(?=\S)
zip,sqlcmd,bcp,mosquitto @@ zip|unzip|sqlcmd|bcp|mosquitto_pub|mosquitto_sub @@ (?<!\S)-P[ ]?
ldap,kinit @@ ldap(?:search|add|modify|whoami)|kinit @@ (?<!\S)-w[ ]?
-cli @@ redis-cli|valkey-cli @@ (?<!\S)(?:-a|--pass)[ ]?
curl,http,wget,xh @@ curl|https?|wget|xh
     @@ (?<!\S)(?:-u|--user|-a|--auth|--proxy-user|-U)[ =]?["']?[\w.@+\-]{1,60}:
smb,rpc @@ smbclient|rpcclient|smbmap|net rpc @@ (?<!\S)-U[ ]?["']?[\w.\\]{1,60}%
plink,pscp,rdp,rdesktop,psexec @@ plink|pscp|xfreerdp|rdesktop|psexec @@ (?<!\S)(?:-pw[ ]?|/p:|-p[ ]?)
net user @@ net user [\w.\-]{1,40} @@ ^[ ]+
pass: @@ openssl @@ (?<!\w)pass:
requirepass,masterauth @@ requirepass|masterauth @@ ^[ ]+
BY,by,PASSWORD,password @@ (?:IDENTIFIED|identified) (?:WITH \w{1,40} )?(?:BY|by)|(?:WITH )?PASSWORD|with password
     @@ ^(?: FOR \S{1,60} =)?[ ]{0,2}[=(]?(?=['"])
SecureString @@ ConvertTo-SecureString(?: -String)? @@ ^[ ]+
echo,printf @@ echo|printf
     @@ ^[ ]{1,3}(?:-n[ ])?(?=[^\s|]{1,100} {0,3}\| {0,3}(?:sudo|docker|podman|gh auth|passwd|chpasswd|su |helm))
password @@ machine\s[^\n]{1,120}?\spassword|login\s\S{1,80}\spassword @@ ^\s+
ssh-keygen @@ ssh-keygen @@ (?<!\S)-[NP][ ]
sqlplus,sqlldr,rman @@ sqlplus|sqlldr|rman @@ ^[ ](?:-\w+[ ]|target[ ])?["']?\w{1,40}/
IDENTIFIED,identified @@ (?:IDENTIFIED|identified) (?:BY|by) @@ ^[ ]
username @@ username\s\S{1,60}\s(?:privilege \d+ )?(?:password|secret) @@ ^\s(?:\d\s)?
snmp-server @@ snmp-server community @@ ^[ ]
openssl @@ openssl @@ (?<!\S)-k[ ]
net use @@ net use @@ (?i:/user:\S{1,60}[ ]+)(?!/)
uth @@ auth ?= ?|AUTH ?= ?|auth: ? @@ ^[(\[]\s?["'][^"'\n]{1,60}["'], ?(?=["'])
"""
_ARGUMENT = r"""(?:"([^"\n\0]{1,200})"|'([^'\n\0]{1,200})'|([^\s"'\0|;&<>()]{1,200}))"""
_WINDOW = 200


def _read(line: str) -> tuple[list[str], re.Pattern[str], re.Pattern[str]]:
    hints, tools, lead = line.split(" @@ ")
    command = re.compile(rf"(?<![\w.\-])(?:{tools})(?![\w\-])")
    return hints.split(","), command, re.compile(lead + _ARGUMENT)


_COMMANDS = tuple(_read(line) for line in _TABLE.strip().replace("\n    ", "").splitlines())
_PGPASS = re.compile(r"^[\w.*\-]{1,80}:(?:\d{2,5}|\*):[\w*\-]{1,60}:[\w*\-]{1,60}:(\S{3,100})$", re.MULTILINE)


def commands(text: str) -> Iterator[Span]:
    """Passwords where a command, a query or a file of logins takes them without a name."""
    for hints, command, lead in _COMMANDS:
        if not any(hint in text for hint in hints):
            continue
        for tool in command.finditer(text):
            line = text[tool.end() : tool.end() + _WINDOW].split("\n", 1)[0].split("\0", 1)[0]
            argument = lead.search(line)
            group = argument.lastindex if argument else None
            if not argument or not group:
                continue
            value = argument.group(group)
            if is_secret(value, "password", True, "given" if group == 3 else "quoted"):
                yield tool.end() + argument.start(group), tool.end() + argument.end(group), "password"
    if ":" in text:
        for match in _PGPASS.finditer(text):
            if not is_placeholder(match.group(1)):
                yield match.start(1), match.end(1), "password"


_CALL = re.compile(
    r"""(?:(?P<key>AES\.new|Fernet|SecretKeySpec|[hH][mM][aA][cC]\.new)
    |(?P<sign>[jJ][wW][tT]\.(?:sign|encode|decode|verify)|[hH]mac|[cC]reateCipheriv)
    |(?P<login>[lL]og_?[iI]n|[lL]ogon|[aA]uthenticate|[sS]ign_?[iI]n|[aA]uth(?:entication)?|[cC]redentials?|[bB]ind
    |[uU]sername_?[pP]assword\w{0,20}|[wW]i[fF]i\.\w{1,20})
    |(?P<connect>[cC]onnect(?:ion)?|mysqli|PDO|DataSource|[cC]lient(?:::new)?))\(\s{0,20}""",
    re.VERBOSE,
)
_GIVEN = re.compile(
    r"""(?:[rbfu@$]?["'`](?P<value>[^"'`\n\0]{1,100})["'`]|[\w.$>:&\[\]\-]{1,60})(?:\.?\w{0,20}\([^()\n]{0,60}\))?
    \s{0,20}(?P<more>,?)\s{0,20}""",
    re.VERBOSE,
)
_FIRST = {"key": 0, "sign": 1, "login": 1, "connect": 2}


def calls(text: str) -> Iterator[Span]:
    """Passwords and keys that a call takes behind a user's name or a payload: `login("ann", X)`."""
    if "(" not in text:
        return
    for call in _CALL.finditer(text):
        sort, at = call.lastgroup or "", call.end()
        kind, form = ("key", "quoted") if sort in ("key", "sign") else ("password", "prose")
        for position in range(_FIRST[sort] + 3):
            given = _GIVEN.match(text, at)
            if not given:
                break
            value = given["value"]
            if value and position >= _FIRST[sort] and is_secret(value, "secret" if kind == "key" else kind, True, form):
                yield *given.span("value"), kind
                break
            if not given["more"]:
                break
            at = given.end()
