"""The trained heads that bring every modality into one space, and the bundle they are kept in."""
