"""The dataset doctor: what is in the folders, what is wrong with it, and what to set."""
