"""The process and its machine: memory, environment, threads."""
