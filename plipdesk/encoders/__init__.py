"""Image–text models: cards, import, text and image encoding, prompts."""
