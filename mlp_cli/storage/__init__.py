"""Files that land whole, and readers that believe nothing."""
