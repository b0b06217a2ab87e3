"""Looks at preference data, mends it, grows it and chooses what to label next. Importing this imports no torch."""
