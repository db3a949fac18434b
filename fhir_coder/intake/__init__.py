"""Ways in: each feed reads payloads, keeps them in the ledger, and acknowledges after the commit."""
