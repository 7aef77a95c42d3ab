"""Ki-67 positive cells predicted from H&E, after Liu et al. 2020 (doi:10.3389/fmolb.2020.00183)."""
