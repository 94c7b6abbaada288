"""The command line: it parses, calls one core function and prints."""
