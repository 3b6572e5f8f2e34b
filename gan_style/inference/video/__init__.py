"""Videos and folders of frames through a trained model, with less flicker."""
