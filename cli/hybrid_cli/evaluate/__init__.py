"""Measurement and calibration of the gate on labelled questions."""
