"""`hybrid doctor`: one finding per subject (ok, warn or fail), with a fix.

The checks change nothing: they send, ask and write nothing. The guarded worker runs those that need llama.cpp.
"""
