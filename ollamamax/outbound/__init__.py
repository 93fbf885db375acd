"""The one client for addresses that a tenant chose, such as those of webhooks and identity providers. Knows no Django."""
