"""Encoders as a person sees them: what each is, how to get it, use it, compare it, and let it go."""
