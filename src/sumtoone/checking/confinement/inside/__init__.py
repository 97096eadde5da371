"""What runs in the nursery and in its confined children; nothing here is ever loaded by the checker itself."""
