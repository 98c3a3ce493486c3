"""The deep-zoom viewer: camera, tiles, and the widgets that draw them."""
