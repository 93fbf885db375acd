"""The contract as of b63a1bec7f4d214ff89945155df96ee122b936f9, for tests alone."""
