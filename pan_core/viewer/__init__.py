"""What people look at: skeletons and captions in video, plots, page templates."""
