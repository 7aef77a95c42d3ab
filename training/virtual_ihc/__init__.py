"""Virtual Ki-67 IHC from H&E: two generators and two judges, learned from slides that are no pairs."""
