"""Files that answer like a run, for those who have no sumtoone."""
