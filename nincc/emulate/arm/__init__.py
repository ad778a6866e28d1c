"""ARM libraries without an ARM CPU: run, and counted, instruction by instruction."""
