"""From slide to vectors."""
