"""The built-in exam: questions of about a dozen kinds, each with an answer that a rule can check."""

from hybrid_cli.evaluate.exam.generate import KINDS, questions
from hybrid_cli.evaluate.exam.judge import is_right
from hybrid_cli.evaluate.exam.question import FORMS, ExamQuestion, from_json, to_json

__all__ = ["FORMS", "KINDS", "ExamQuestion", "from_json", "is_right", "questions", "to_json"]
