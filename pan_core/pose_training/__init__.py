"""Training of the pose network: from annotated joints, or from the maps of a teacher."""
