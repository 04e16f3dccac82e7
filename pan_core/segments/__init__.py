"""Relabelling by segment (section III of the paper): which atomic action holds in which frames of a clip.

A class is a sequence (LongJump: Running, then Jumping), several actions at once (WalkingAndWaving), or atomic. Only
sequences need boundaries. Where a dataset gives none, `motion` finds them as change points of the poses, and
`refinement` moves them to where the recognizer's own posteriors want them, by forced `alignment` with the order of
the parts as the constraint. `clip_class` goes the other way, from posteriors of frames to the class of the clip.
`table` has the rows of the segment table, and what is measured on them.
"""
