"""Warrant's servers on one machine: `warrant up`, `down`, `status` and `doctor`."""
