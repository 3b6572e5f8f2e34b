"""Numbers of a trained model, or of a folder of pictures."""
