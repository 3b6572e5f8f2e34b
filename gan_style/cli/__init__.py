"""The doors, one file a verb; nobody imports them."""
