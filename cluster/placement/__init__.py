"""Which versions are in the memory of which nodes: how much they take there, and where they should be. Pure: no Django, no Redis, no clock."""
