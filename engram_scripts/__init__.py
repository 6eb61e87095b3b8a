"""What the four scripts at the root show: progress, conversation, reports and the web page."""
