"""From prompts to labels, heat maps and tables."""
