"""What works on this machine: one finding a subject, each ok, warn or fail, with what to do.

It only looks: nothing is sent, asked or written. What needs llama.cpp is asked of the guarded worker.
"""
