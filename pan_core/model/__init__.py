"""The Pose-Attention Network of Li and Wang (2020), from skeleton joints to action scores.

`features`, `missing` and `online` are plain NumPy, so a device that runs an exported network needs no torch for
them; everything else is torch.
"""
