"""Compare models on one picture: a sheet, or a page with a slider."""
