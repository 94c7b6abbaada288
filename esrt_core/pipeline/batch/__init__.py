"""Upscale folders of pictures, resumably: sources, plan, manifest and worker threads."""
