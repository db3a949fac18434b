"""Visits in any order, with faults and kills: the payer ends with exactly the claims that the messages give."""
