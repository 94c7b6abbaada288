"""Pictures and clips, in and out. Never imports torch."""
