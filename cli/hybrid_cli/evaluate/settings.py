"""The choices that `hybrid eval` and `hybrid calibrate` share with evaluation. Imports nothing, for a fast --help."""

from __future__ import annotations

from typing import Literal

QuestionSplit = Literal["all", "fit", "test"]
CloudOutcomes = Literal["recorded", "live", "none"]
"""Source of the cloud's answers: the data, the profile's cloud, or none."""
Unseen = Literal["questions", "subjects"]
"""Questions held out together when the gate is fitted: one, or all of a subject."""
