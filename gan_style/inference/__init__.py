"""Pictures through a trained model."""
