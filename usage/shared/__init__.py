"""Limits that several processes share, through Redis or Valkey: the ledger's arithmetic as one script there."""
