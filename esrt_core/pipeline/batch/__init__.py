"""A folder of pictures: plan, workers, manifest."""
