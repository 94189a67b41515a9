"""The proof that the batched gradient is right: `check` compares it with the `references`."""
