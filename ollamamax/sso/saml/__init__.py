"""SAML 2.0 as a service provider speaks it: XML in and out, signatures, assertions, metadata. No Django and no database."""
