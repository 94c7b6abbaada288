"""What concerns the process and the machine below it."""
