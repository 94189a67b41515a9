"""What tests of several departments share."""
