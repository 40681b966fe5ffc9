"""A cloud on loopback that answers known questions as another cloud once did, by its recorded outcomes.

    python tests/support/replayed_cloud.py PORT DATA.jsonl...

serves until it is stopped. Where only the verdict was recorded, it answers with the label, or with what
the label is not.
"""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from scripted_cloud import Reply, ScriptedCloud


def replaying(files: Sequence[Path]) -> Callable[[dict[str, Any]], Reply]:
    """A value for `ScriptedCloud.respond`. Prompts that are unknown or have no recorded outcome get a 404."""
    known = {}
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            known[row["prompt"]] = row

    def respond(body: dict[str, Any]) -> Reply:
        text = body["messages"][-1]["content"]
        row = known.get(text) or known.get(text.rpartition("\n")[0])  # without what the kind asks for
        if row is None or row.get("cloud_correct") is None:
            return Reply(status=404)
        answer = _answer(row)
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": len(answer) // 4 + 1}
        return Reply(pieces=(answer,), usage={**usage, "total_tokens": sum(usage.values())})

    return respond


def _answer(row: dict[str, Any]) -> str:
    if row.get("cloud_answer"):
        return str(row["cloud_answer"])
    if row["cloud_correct"]:
        return str(row["answer"])
    if row["kind"] == "letter":
        return "A" if row["answer"] != "A" else "B"
    return "no answer"


def main(port: int, files: Sequence[Path]) -> None:
    with ScriptedCloud(port=port) as cloud:
        cloud.respond = replaying(files)
        print(f"answering at {cloud.origin}/v1", flush=True)  # noqa: T201
        signal.sigwait({signal.SIGINT, signal.SIGTERM})


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    main(int(sys.argv[1]), [Path(name) for name in sys.argv[2:]])
