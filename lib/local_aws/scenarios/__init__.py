"""Incidents to practise with."""
