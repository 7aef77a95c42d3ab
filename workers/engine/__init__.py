"""The tiled engine: a slide and a package in, stitched maps, measurements and a result that explains itself out."""
