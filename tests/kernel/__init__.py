"""The kernel: what everything stands on."""
