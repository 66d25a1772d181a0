"""Writers of the bundle: database, map, plots, report, and ``bundle.json`` last."""
