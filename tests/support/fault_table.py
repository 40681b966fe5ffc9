"""Every fault of a cloud, and what comes of it: the data of the tests, and the table in docs/faults.md.

python tests/support/fault_table.py    writes docs/faults.md from real runs of the installed command
"""

from __future__ import annotations

import datetime
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from hybrid_cli.ledger.database import Ledger
from hybrid_process import Hybrid, executed
from scripted_cloud import Reply, ScriptedCloud

DOCUMENT = Path(__file__).parents[2] / "docs" / "faults.md"
FORCE = "escalation: {mode: force}\n"
QUICK = ", prices: {input: 1.0, output: 10.0}, timeouts: {silent: 1, answer: 20}"
NO_TOKENS = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
_SOON = {"Retry-After-Ms": "20"}

REPLIES: dict[str, list[Reply]] = {
    "400": [Reply(status=400)],
    "401": [Reply(status=401)],
    "403": [Reply(status=403)],
    "404": [Reply(status=404)],
    "408": [Reply(status=408, headers=_SOON)],
    "409": [Reply(status=409, headers=_SOON)],
    "429 without Retry-After": [Reply(status=429)],
    "429 with a Retry-After of an hour": [Reply(status=429, headers={"Retry-After": "3600"})],
    "429 with a Retry-After of a second, then an answer": [
        Reply(status=429, headers={"Retry-After": "1"}),
        Reply(),
    ],
    "500": [Reply(status=500, headers=_SOON)],
    "503": [Reply(status=503, headers=_SOON)],
    "503, then an answer": [Reply(status=503, headers=_SOON), Reply()],
    "redirect to another origin": [
        Reply(status=307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"})
    ],
    "stall before the stream": [Reply(fault="hang")],
    "stall inside the stream": [Reply(fault="stall")],
    "disconnect before the stream": [Reply(fault="hang up")],
    "disconnect inside the stream": [Reply(fault="reset")],
    "truncated stream": [Reply(fault="cut")],
    "malformed chunk": [Reply(fault="corrupt")],
    "web page instead of an answer": [Reply(fault="page", content_type="text/html")],
    "answer of 100 MB": [Reply(fault="flood")],
    "empty answer": [Reply(pieces=())],
    "answer cut at the token limit": [Reply(finish_reason="length")],
    "answer withheld by a content filter": [Reply(finish_reason="content_filter")],
    "answer with a usage of zero tokens": [Reply(usage=NO_TOKENS)],
    "answer without usage": [Reply(usage=None)],
}
ORIGINS = {
    "connection refused": "http://127.0.0.1:9",
    "unknown host name": "https://no-such-host.invalid",
}
CERTIFICATES = {
    "certificate of another host": ("elsewhere.example", 30, True),
    "expired certificate": ("127.0.0.1", -1, True),
    "certificate of an unknown authority": ("127.0.0.1", 30, False),
}
"""For each: the host, the days until it expires, and whether its authority is known."""


@dataclass
class Outcome:
    """The result of one run."""

    code: int
    message: str
    """The last line on stderr if the run failed."""
    rows: list[str]
    """The outcomes in the ledger, one a request."""

    def line(self, fault: str) -> str:
        """The row of the table."""
        held = ", ".join(f"{number} × {name}" for name, number in Counter(self.rows).items())
        return f"| {fault} | {self.code} | {self.message or '(an answer)'} | {held} |"


def run(hybrid: Hybrid, home: Path, section: str, origin: str, **variables: str) -> Outcome:
    """Send one prompt to the cloud of `section`, by force."""
    profile = home / "fault.yaml"
    profile.write_text(f"version: 1\n{section}{FORCE}", encoding="utf-8")
    variables |= {"HYBRID_HOME": str(home), "HYBRID_CONSENT": origin}
    done = hybrid("run", "-p", profile, "hi", **variables)
    assert (done.stdout == b"") == (done.returncode != 0), done
    assert done.stderr.count(b"\n") < 6, done.stderr
    last = done.stderr.decode().splitlines()[-1].removeprefix("hybrid: ") if done.returncode else ""
    rows = [row["outcome"] for row in Ledger(home / "state").rows()]
    return Outcome(done.returncode, last.replace(origin, "ORIGIN"), rows)


def of_reply(hybrid: Hybrid, home: Path, fault: str) -> Outcome:
    with ScriptedCloud() as cloud:
        cloud.replies = REPLIES[fault]
        outcome = run(hybrid, home, cloud.section(QUICK), cloud.origin)
        assert len(cloud.received) == len(outcome.rows)
    return outcome


def of_origin(hybrid: Hybrid, home: Path, fault: str) -> Outcome:
    origin = ORIGINS[fault]
    section = f'cloud: {{base_url: "{origin}/v1", model: m, retries: 1}}\n'
    return run(hybrid, home, section, origin)


def of_certificate(hybrid: Hybrid, home: Path, fault: str) -> Outcome:
    with certified_cloud(home, *CERTIFICATES[fault]) as (cloud, known):
        section = cloud.section(", retries: 1")
        outcome = run(hybrid, home, section, cloud.origin, SSL_CERT_FILE=str(known))
        assert not cloud.received
    return outcome


@contextmanager
def certified_cloud(
    folder: Path, host: str, days: int, is_known: bool
) -> Iterator[tuple[ScriptedCloud, Path]]:
    """A cloud with a certificate for `host`, and the file of known authorities."""
    authority = trustme.CA()
    ends = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host, not_after=ends).configure_cert(tls)
    known = folder / "known.pem"
    (authority if is_known else trustme.CA()).cert_pem.write_to_path(str(known))
    with ScriptedCloud(tls) as cloud:
        yield cloud, known


FAULTS = {
    **dict.fromkeys(REPLIES, of_reply),
    **dict.fromkeys(ORIGINS, of_origin),
    **dict.fromkeys(CERTIFICATES, of_certificate),
}
_HEAD = """# Faults of a cloud

Each row has the exit code, the line on stderr, and the rows that the fault leaves in the ledger, one for each request.
`refused` costs nothing, `unknown` keeps its reservation, and `answered` has its cost. hybrid retried up to twice here,
and once in the last five rows and if an answer broke.

```sh
hybrid usage --by outcome
```

`python tests/support/fault_table.py` writes this page from real runs, and `tests/egress/test_egress.py` repeats them.

| fault | code | message | ledger |
|---|---:|---|---|
"""


def main() -> None:
    command = str(Path(sys.executable).parent / "hybrid")
    lines = []
    for fault, come_of in FAULTS.items():
        with tempfile.TemporaryDirectory() as folder:
            hybrid = executed(command, Path(folder))
            lines.append(come_of(hybrid, Path(folder), fault).line(fault))
    DOCUMENT.write_text(_HEAD + "\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
