"""Background work as a person sees and steers it."""
