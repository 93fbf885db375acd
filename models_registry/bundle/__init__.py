"""Bundles: models in one signed file, from one installation into another without a network between. Pure."""
