"""What people look at: comparisons and the state of the machine."""
