"""Live video: sources that come and go, people recognised in them, and events."""
