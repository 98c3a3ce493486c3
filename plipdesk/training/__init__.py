"""Contrastive training, linear probes, fine-tuning: settings, runs, checkpoints."""
