"""Training pictures of our own: text, structure in perspective, line art, halftones and screens, drawn from a seed."""

from benchmarks.drawings.scene import draw, draw_fine, draw_graphic, draw_page

__all__ = ["draw", "draw_fine", "draw_graphic", "draw_page"]
