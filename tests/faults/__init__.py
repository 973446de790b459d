"""What happens to a folder, and to the answers, when things go wrong."""
