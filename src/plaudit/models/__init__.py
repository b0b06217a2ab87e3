"""The learned scorer: building, loading, saving, scoring, and the contract that makes a score reproducible."""
