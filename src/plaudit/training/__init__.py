"""From a configuration to a saved, verified reward model."""
