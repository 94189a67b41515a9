"""Configurations: what they may say, and how a file becomes one."""
