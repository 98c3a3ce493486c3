"""Protocols, reports and figures."""
