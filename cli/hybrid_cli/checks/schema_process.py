"""Validates one answer, and ends by itself if a pattern takes too long: `[schema, answer]` in, the problem out."""

from __future__ import annotations

import json
import signal
import sys

from hybrid_cli.checks.json_schema import AnswerSchema
from hybrid_cli.checks.schema_patterns import SECONDS

if __name__ == "__main__":
    signal.alarm(SECONDS + 1)  # by the signal's default action, which also ends native code
    schema, answer = json.load(sys.stdin)
    json.dump(AnswerSchema(schema).problem_by_backtracking(answer), sys.stdout)
