"""The processes of the product as management commands: composition, above everything else."""
