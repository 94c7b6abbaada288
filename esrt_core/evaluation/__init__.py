"""The field's protocol: how good a result is."""
