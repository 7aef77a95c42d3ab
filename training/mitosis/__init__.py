"""Mitotic figures in H&E: from labelled slides to a verified package."""
