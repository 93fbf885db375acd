"""Asking directories that speak LDAP (RFC 4511). Without Django's tables: settings in, people out."""
