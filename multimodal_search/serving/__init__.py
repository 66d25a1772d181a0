"""The search page and its API over a bundle."""
