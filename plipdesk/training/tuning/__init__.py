"""Contrastive fine-tuning of an installed encoder, as Huang et al. (2023) made PLIP from CLIP."""
