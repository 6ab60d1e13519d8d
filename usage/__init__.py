"""What it may and did cost: limits, the journal, records, reports."""
