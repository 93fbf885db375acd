"""The registry's tasks on a node."""
