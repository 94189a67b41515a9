"""Helpers for the tests of several departments."""
