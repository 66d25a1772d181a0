"""From a folder of meshes to a page of look-alikes."""
