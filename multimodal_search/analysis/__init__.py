"""What a set of vectors looks like: neighbours, maps, clusters, duplicates."""
