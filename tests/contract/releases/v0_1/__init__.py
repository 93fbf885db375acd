"""The contract as of 2a7f99b, for tests alone."""
