"""A run behind HTTP: the page for people, predictions for programs."""
