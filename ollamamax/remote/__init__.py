"""Commands that speak to an installation by its management API: for pipelines, and for people elsewhere. No Django, no settings, no database."""
