"""`hybrid pipe`: one instruction applied to many records, answered in parallel and written in order."""
