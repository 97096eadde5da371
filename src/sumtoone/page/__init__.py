"""The page that shows a run: static files without a build step, and what they are told of the run."""
