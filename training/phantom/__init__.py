"""Whole-slide phantoms: slides of any size with the exact truth of every nucleus. Research use only.

`spec.PhantomSpec` says what a phantom is, `render.render_region` and `truth.truth_region` give any box of it,
`write.write_phantom` writes slides; `commands` is the command line. See docs/phantom.md.
"""
