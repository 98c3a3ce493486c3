"""Reading slides: formats, identity, tissue, tiling, thumbnails."""
