"""Chaos experiments."""
