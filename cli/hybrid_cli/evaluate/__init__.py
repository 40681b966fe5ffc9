"""Measuring and fitting the gate on labelled questions."""
