"""The proof that the batched gradient is right."""
