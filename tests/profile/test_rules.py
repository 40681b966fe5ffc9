"""Rules: what a prompt's own features decide before any model runs, and how far that can reach."""

from __future__ import annotations

import json
import time
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from hybrid_cli.checks.json_schema import read_schema
from hybrid_cli.egress.prompt_rules import RequestFacts, known_tags, under_rules
from hybrid_cli.profile.languages import LANGUAGES, NAMES, codes_of
from hybrid_cli.profile.loader import read_profile
from hybrid_cli.profile.patterns import check_pattern, compiled
from hybrid_cli.profile.policy import Flags, merge_policy
from hybrid_cli.profile.rules import rule_on
from hybrid_cli.profile.schema import Rule, When
from hybrid_cli.prompt import Question, Request, Turn
from hybrid_cli.prompt_files.collect import PromptFile
from hybrid_cli.ui.environment import Environment
from hybrid_process import HELLO, Hybrid
from scripted_cloud import ScriptedCloud

Profile = Callable[..., Path]


@dataclass
class Facts:
    text: str = ""
    tags: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    secret: bool = False

    def tokens(self) -> int:
        return len(self.text)

    def matches(self, pattern: str) -> bool:
        return compiled(pattern).search(self.text) is not None

    def language(self) -> str:
        return "de"

    def has_secret(self) -> bool:
        return self.secret


@pytest.mark.parametrize(
    ("when", "facts", "holds"),
    [
        (When(matches=r"(?i)\bprove\b"), Facts("Please PROVE it"), True),
        (When(matches=r"(?i)\bprove\b"), Facts("approved"), False),
        (When(tokens_over=3), Facts("four"), True),
        (When(tokens_over=4), Facts("four"), False),
        (When(secret=True), Facts(secret=True), True),
        (When(secret=False), Facts(secret=True), False),
        (When(language=["fr", "de"]), Facts(), True),
        (When(language=["fr"]), Facts(), False),
        (When(language=["DE"]), Facts(), True),
        (When(language=["de-AT"]), Facts(), True),
        (When(language=["de_CH.UTF-8"]), Facts(), True),
        (When(language=["German"]), Facts(), True),
        (When(language=["deu"]), Facts(), True),
        (When(tools=["web_search"]), Facts(tools=frozenset({"web_search"})), True),
        (When(tools=["web_search"]), Facts(), False),
        (When(tags=["legal"]), Facts(tags=frozenset({"legal", "draft"})), True),
        (When(tags=["legal"]), Facts(tags=frozenset({"draft"})), False),
        (When(tags=["legal"], secret=True), Facts(tags=frozenset({"legal"})), False),
    ],
)
def test_a_condition_holds_only_for_matching_facts(when: When, facts: Facts, holds: bool) -> None:
    ruling = rule_on([("a", Rule(when, "force"))], facts)
    assert (ruling is not None) == holds


def test_the_first_match_counts_in_a_layer_and_the_strictest_layer_wins() -> None:
    yes, no = When(secret=False), When(secret=True)
    rules = [
        ("a", Rule(no, "forbid")),
        ("a", Rule(yes, "force")),
        ("a", Rule(yes, "forbid")),
        ("b", Rule(yes, "ask")),
    ]
    ruling = rule_on(rules, Facts())
    assert ruling is not None
    assert (ruling.then, ruling.rule) == ("ask", "rule 1 of b")
    alone = rule_on(rules[:3], Facts())
    assert alone is not None
    assert (alone.then, alone.rule) == ("force", "rule 2 of a")
    assert rule_on(rules[:1], Facts()) is None


@pytest.mark.parametrize(
    ("pattern", "prompt"),
    [
        ("(?i)projekt müller", "Plan von Projekt Mu\u0308ller"),
        ("(?i)projekt mu\u0308ller", "Plan von Projekt Müller"),
        ("(?i)projekt müller", "Plan von Pro\u00adjekt Müller"),
        ("(?i)projekt müller", "Plan von Pro\u200bjekt M\u2060üller"),
        ("(?i)projekt müller", "Plan von Projekt\u00a0Müller"),
        ("(?i)projekt\u00a0müller", "Plan von Projekt Müller"),
        ("(?i)pro\u00adjekt müller", "Plan von Projekt Müller"),
        ("(?i)projekt müller", "Plan von Projekt\u2009 Müller"),
        ("(?i)projekt müller", "Plan von Projekt\r\nMüller"),
        ("(?i)projekt müller", "Plan von Projekt  Müller"),
        ("(?i)office", "the o\ufb03ce plan"),
        ("(?i)geheim", "\uff27\uff25\uff28\uff25\uff29\uff2d"),
        ("^geheim$", "geheim"),
        ("(?m)^geheim$", "eins\r\ngeheim\r\nzwei"),
        ("10 m²", "10 m²"),
        ("[\u200b]", "a\u200bb"),
        ("(?i)projekt müller", '{"titel": "Projekt M\\u00fcller"}'),
        ("(?i)projekt müller", r'"{\"titel\": \"Projekt M\\u00fcller\"}"'),
        ("(?i)projekt müller", '{"titel": "Projekt Mu\\u0308ller"}'),
        ("(?i)projekt müller", "Projekt&nbsp;M&uuml;ller"),
        ("(?i)projekt müller", "Projekt M&#252;ller"),
        ("(?i)projekt müller", "Projekt M&amp;uuml;ller"),
        ("(?i)projekt müller", "?q=projekt%20m%C3%BCller"),
        ("(?i)projekt müller", "?q=projekt+m%c3%bcller"),
        ("(?i)projekt müller", "?q=projekt%2520m%25C3%25BCller"),
        ("(?i)projekt müller", "Projekt M=C3=BCller"),
        ("(?i)projekt müller", "Projekt M=FCller"),
        ("(?i)projekt müller", r"b'Projekt M\xc3\xbcller'"),
        ("(?i)projekt müller", r"b/projekt m\303\274ller"),
        ("(?i)projekt müller", "\u0336".join("Projekt Müller")),
        ("(?i)projekt müller", "\u0336".join("Projekt Mu\u0308ller")),
        ("(?i)projekt müller", "> das Projekt\n> Müller wird"),
        ("(?i)projekt müller", "Projekt **Müller**"),
        ("(?i)projekt müller", "Projekt <b>Müller</b>"),
        ("(?i)projekt müller", "Рrоjеkt Müllеr"),
        ("(?i)проект", "пpoeкт"),
        ("(?i)projekt", "ᴘʀᴏᴊᴇᴋᴛ"),
        ("(?i)projekt", "🅿🆁🅾🅹🅴🅺🆃"),
        ("(?i)projekt", "⒫⒭⒪⒥⒠⒦⒯"),
        ("(?i)projekt", "🇵🇷🇴🇯🇪🇰🇹"),
        ("(?i)aurora", "ɑurorɑ"),
        ("(?i)wales", "ᎳᎪᏞᎬᏚ"),
        ("(?i)souq", "Տօսզ"),
        ("(?i)paris", "ꓑꓮꓣꓲꓢ"),
        ("projekt", "".join(chr(0xE0000 + ord(one)) for one in "projekt")),
        ("projekt", "pro<!-- not yet -->jekt"),
        ("projekt", f"pro<span style='{'x' * 300}'>jekt</span>"),
        ("projekt", "pro<span\nid=a>jekt</span>"),
        ("projekt", "".join(f"{one}\b{one}" for one in "projekt")),
        ("projekt", "_\bp_\brojekt"),
        ("projekt", "pro\x1b]8;;http://a.example\x1b\\jekt\x1b]8;;\x1b\\"),
        ("projekt", "pro\x9b1mjekt"),
        ("projekt", "pro\ufffcjekt"),
        ("projekt", r"\160rojekt"),
        ("projekt", r"\N{LATIN SMALL LETTER P}rojekt"),
        ("\U0001f512", r"\ud83d\udd12"),
        ("^geheim$", r"g\u0065heim"),
    ],
)
def test_a_pattern_matches_the_visible_text(pattern: str, prompt: str) -> None:
    rules = [("a", Rule(When(matches=pattern), "forbid"))]
    for request in (
        Request(Question(prompt, ""), None),
        Request(Question("Sum up.", prompt), None),
        Request(Question("Sum up.", ""), prompt),
        Request(Question(prompt, "context"), "system", form="Answer as JSON."),
    ):
        assert rule_on(rules, RequestFacts(request, frozenset())) is not None
    assert rule_on(rules, RequestFacts(Request(Question("Was ist das?", ""), None), frozenset())) is None


@pytest.mark.parametrize(
    "given", ["Private", " private ", "PRI\u200bVATE", "ｐｒｉｖａｔｅ", "рrіvаtе", "ᴘʀɪᴠᴀᴛᴇ", "x,private"]
)
def test_a_tag_is_meant_however_it_is_written(given: str, profile: Profile, home: Path) -> None:
    path = profile("escalation: {rules: [{when: {tags: [private]}, then: forbid}]}\n")
    environment = Environment(None, None, None, {"HYBRID_HOME": str(home)})
    policy = merge_policy(Flags(profile=str(path)), environment)
    facts = RequestFacts(Request(Question("Hi", ""), None), known_tags([given], policy, environment))
    assert under_rules(policy, facts)[0].mode == "forbid"


def test_an_anchor_holds_for_each_of_the_messages_that_were_joined() -> None:
    rules = [("a", Rule(When(matches="^Project Heron$"), "forbid"))]
    texts = ("Look:", "Project Heron", "Well?")
    joined, named = "\n\n".join(texts), tuple(("a message", text) for text in texts)
    plain = Request(Question("Hi", ""), "Be brief.")
    for request in (
        replace(plain, question=Question(joined, "", joined=named)),
        replace(plain, history=(Turn("user", joined, numbers=(1, 2, 3), texts=texts),)),
        replace(plain, system=joined, system_parts=named),
        replace(plain, question=Question(f"Read: {texts[1]}", "", given=texts[1])),
    ):
        assert rule_on(rules, RequestFacts(request, frozenset())) is not None, request


def test_every_text_that_would_leave_is_searched() -> None:
    question = Question("Sum up.", "", files=(PromptFile("projekt müller.txt", "Hi"),))
    schema = read_schema('{"type": "object", "properties": {"projekt müller": {"type": "string"}}}')
    rules = [("a", Rule(When(matches="projekt müller"), "forbid"))]
    plain = Request(Question("Sum up.", ""), None)
    assert rule_on(rules, RequestFacts(plain, frozenset())) is None
    for request in (
        replace(plain, question=question),
        replace(plain, stop=("END", "projekt müller")),
        replace(plain, schema=schema),
        replace(plain, choices=("yes", "projekt müller")),
        replace(plain, tools=("web_search",), tool_argument="projekt m%C3%BCller"),
        replace(plain, history=(Turn("assistant", "projekt müller"),)),
    ):
        assert rule_on(rules, RequestFacts(request, frozenset())) is not None, request
    secret = replace(plain, stop=("ghp_" + "a1B2" * 9,))
    assert RequestFacts(secret, frozenset()).has_secret()


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("^$", ""),
        ("a\n^b$", None),
        ("(?m)a$\n^b", "a\nb"),
        ("(?:^|x)b", "xb"),
        ("(?s).*^x", "x"),
        (r"\Bproj\B", "aproja"),
        (r"a\b b", "a b"),
        (r"(?:^|\PL)übung(?:\PL|$)", "eine übung!"),
        (r"\pL+\b", "ab"),
        (r"(?m)^\s*\bx$", "\n x"),
    ],
)
def test_a_pattern_is_refused_only_if_no_text_matches(pattern: str, text: str | None) -> None:
    if text is None:
        with pytest.raises(ValueError, match="no text"):
            check_pattern(pattern)
    else:
        check_pattern(pattern)
        assert compiled(pattern).search(text)


def test_the_language_is_that_of_the_visible_text() -> None:
    german = "Der Zug nach München fährt heute leider eine halbe Stunde später ab."
    for text in (german, german.upper(), "\u200b".join(german), unicodedata.normalize("NFD", german)):
        assert RequestFacts(Request(Question(text, ""), None), frozenset()).language() == "de"


def test_every_language_that_can_be_recognised_can_be_named() -> None:
    import py3langid.langid

    py3langid.classify("load the model")
    known = set(py3langid.langid.IDENTIFIER.nb_classes) - {"zxx"}
    assert known == LANGUAGES
    named = set().union(*(codes_of(name) for name in [*NAMES, *LANGUAGES]))
    assert named == known
    assert codes_of("nb") == codes_of("no") == codes_of("Norwegian") == {"no", "nn"}
    assert codes_of("zh-Hant-TW") == codes_of("Chinese") >= {"zh"}


@pytest.mark.parametrize(
    ("when", "told"),
    [
        ("language: [klingon]", "language: `klingon` is not a language that hybrid recognises"),
        ("language: [germann]", "language: `germann` is not a language that hybrid recognises; did you mean"),
        ("language: [yi]", "language: `yi` is not a language that hybrid recognises"),
        ("language: ['']", "language"),
        ("language: []", "language"),
        ("tools: []", "tools"),
        ("tags: []", "tags"),
        ("tags: [' ']", "tags: ` ` is empty; --tag cannot name it"),
        ("tags: ['a,b']", "tags: `a,b` contains a comma, which --tag splits at; list `a` and `b`"),
        ("tokens_over: 9000000", "tokens_over: must be a whole number from 1 to"),
        ('matches: "\\bprojekt\\b"', "matches: the pattern contains a backspace, not `\\b`; write it in single quotes"),
        ('matches: "\\a"', "matches: the pattern contains the control character U+0007, which no prompt"),
        ("matches: ''", "matches"),
        (r"matches: '[^\s\S]'", "matches: no text can match this pattern"),
        (r"matches: 'a^b'", "matches: no text can match this pattern"),
        (r"matches: 'x$y'", "matches: no text can match this pattern"),
        (r"matches: '(?i)(?:geheim|\bplan)\B\b'", "matches: no text can match this pattern"),
        (r"matches: 'geheim\bakte'", "matches: no text can match this pattern"),
        (r"matches: '(?m)geheim$akte'", "matches: no text can match this pattern"),
        (r"matches: '\s+^geheim'", "matches: no text can match this pattern"),
        (r"matches: '(?i)\bübung'", r"write `(?:^|\PL)` before a word"),
        (r"matches: 'café\b'", r"write `(?:^|\PL)` before a word"),
    ],
)  # fmt: skip
def test_a_condition_that_can_never_hold_is_refused(profile: Profile, when: str, told: str) -> None:
    path = profile(f"escalation:\n  rules:\n    - when: {{{when}}}\n      then: forbid\n")
    mistakes = read_profile(path).mistakes
    assert len(mistakes) == 1, mistakes
    assert mistakes[0].startswith(f"{path}:4: escalation.rules.0.when")
    assert told in mistakes[0]


@pytest.mark.parametrize(
    ("when", "prompt"),
    [
        ("language: [DE]", "Der Zug nach München fährt heute eine halbe Stunde später ab."),
        ("language: [German]", "Der Zug nach München fährt heute eine halbe Stunde später ab."),
        ("matches: '(?i)projekt müller'", "Plan von Pro\u00adjekt\u00a0Mu\u0308ller"),
        ("matches: '(?i)projekt müller'", r'{"titel": "Projekt M\u00fcller"}'),
        ("tags: [Vertraulich ]", "Fasse das zusammen."),
    ],
)
def test_nothing_is_sent_that_a_rule_forbids(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, when: str, prompt: str
) -> None:
    path = profile(
        cloud.section() + f"escalation: {{mode: force, rules: [{{when: {{{when}}}, then: forbid}}]}}\n"
    )
    done = hybrid("run", "-p", path, "--tag", "vertraulich", prompt, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, []), done.stderr


def test_a_mistyped_tag_is_an_error(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    rules = "rules: [{when: {tags: [confidential]}, then: forbid}]"
    path = profile(cloud.section() + f"escalation: {{mode: force, {rules}}}\n")
    done = hybrid("run", "-p", path, "--tag", "confidental", "hi", HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (2, [])
    assert b"--tag: no rule uses `confidental`; did you mean `confidential`?" in done.stderr


def test_no_pattern_hangs_on_a_hostile_prompt() -> None:
    rules = [("a", Rule(When(matches="(a+)+$"), "forbid"))]
    started = time.monotonic()
    assert rule_on(rules, Facts("a" * 1_000_000 + "!")) is None
    assert time.monotonic() - started < 5  # a backtracking matcher would take longer than the universe


def escalation(then: str, mode: str = "auto", on_denied: str = "answer") -> str:
    rules = f"rules: [{{when: {{matches: Hello}}, then: {then}}}]"
    return f"escalation: {{mode: {mode}, on_denied: {on_denied}, target: {{threshold: 0.01}}, {rules}}}\n"


@pytest.mark.parametrize(
    ("then", "mode", "code", "sent", "decision", "reason"),
    [
        ("force", "auto", 0, 1, "escalated", "rule"),
        ("local", "auto", 0, 0, "kept", "rule"),
        ("forbid", "auto", 0, 0, "kept", "none"),
        ("ask", "auto", 0, 0, "kept", "none"),
        ("force", "forbid", 0, 0, "denied", "forbidden"),
        ("force", "ask", 0, 0, "denied", "rule"),
        ("forbid", "force", 3, 0, "", ""),
        ("local", "force", 3, 0, "", ""),
    ],
)
def test_each_action_of_a_rule_in_each_mode(
    hybrid: Hybrid,
    cloud: ScriptedCloud,
    profile: Profile,
    then: str,
    mode: str,
    code: int,
    sent: int,
    decision: str,
    reason: str,
) -> None:
    path = profile(cloud.section() + escalation(then, mode))
    done = hybrid("run", "-p", path, "--json", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, len(cloud.received)) == (code, sent)
    if code:
        assert done.stdout == b""
        assert b"rule 1 of profile `test`" in done.stderr
        return
    answer = json.loads(done.stdout)
    assert (answer["handoff"]["decision"], answer["handoff"]["reason"]) == (decision, reason)


def test_a_rule_that_forbids_activates_the_network_guard(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    path = profile(cloud.section() + escalation("forbid"))
    answer = json.loads(hybrid("run", "-p", path, "--json", *HELLO, HYBRID_CONSENT=cloud.origin).stdout)
    assert answer["policy"]["mode"] == "forbid"
    assert answer["policy"]["decided_by"] == "rule 1 of profile `test`"
    assert answer["policy"]["enforcement"] == "seccomp"


def test_a_local_rule_keeps_an_unsure_answer(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    text = escalation("local", on_denied="fail").replace("0.01", "0.99")
    done = hybrid("run", "-p", profile(cloud.section() + text), *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (0, [])
    assert b"Hello" in done.stdout


def test_tags_come_from_the_command_line(hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile) -> None:
    path = profile(
        cloud.section() + "escalation: {rules: [{when: {tags: [hard]}, then: force}]}\n",
    )
    plain = hybrid("run", "-p", path, "--tag", "easy", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (plain.returncode, cloud.received) == (0, [])
    hard = hybrid("run", "-p", path, "--tag", "easy", "--tag", "hard", *HELLO, HYBRID_CONSENT=cloud.origin)
    assert (hard.returncode, len(cloud.received)) == (0, 1)
    assert b"handed off to scripted: rule 1 of profile `test`" in hard.stderr


def test_a_rule_sees_the_piped_text_and_its_language(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile
) -> None:
    rules = "[{when: {language: [de]}, then: force}, {when: {tokens_over: 100}, then: forbid}]"
    path = profile(cloud.section() + f"escalation: {{mode: auto, rules: {rules}}}\n")
    german = "Der Zug nach München fährt heute leider eine halbe Stunde später ab.\n".encode()
    plan = hybrid("run", "-p", path, "--dry-run", "Wann?", stdin=german)
    assert b"rule: force (rule 1 of profile `test`)" in plan.stderr
    english = b"The train to Munich leaves half an hour later than planned today.\n" * 10
    plan = hybrid("run", "-p", path, "--dry-run", "When?", stdin=english)
    assert b"rule: forbid (rule 2 of profile `test`)" in plan.stderr


def test_a_projects_rules_can_only_forbid_handoffs(
    hybrid: Hybrid, cloud: ScriptedCloud, profile: Profile, tmp_path: Path
) -> None:
    repository = tmp_path / "repository"
    (repository / ".git").mkdir(parents=True)
    path = profile(cloud.section() + "escalation: {mode: auto, target: {threshold: 0.01}}\n")
    file = repository / ".hybrid.yaml"
    file.write_text("version: 1\n" + escalation("force").replace("target: {threshold: 0.01}, ", ""))
    done = hybrid("run", "-p", path, *HELLO, cwd=repository, HYBRID_CONSENT=cloud.origin)
    assert (done.returncode, cloud.received) == (3, [])
    assert b"is not trusted, and it sets escalation.rules" in done.stderr
    file.write_text("version: 1\n" + escalation("forbid").replace("target: {threshold: 0.01}, ", ""))
    done = hybrid("run", "-p", path, "--json", *HELLO, cwd=repository, HYBRID_CONSENT=cloud.origin)
    assert json.loads(done.stdout)["policy"]["decided_by"] == "rule 1 of the project's .hybrid.yaml"
