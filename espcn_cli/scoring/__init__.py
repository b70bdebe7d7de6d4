"""Scoring: metrics, the protocol, how LR is made, tables of methods on sets of pictures."""
