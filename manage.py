#!/usr/bin/env python
"""Django's command line; the `ollamamax` console command is the same."""

from ollamamax.cli import main

if __name__ == "__main__":
    main()
